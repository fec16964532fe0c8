"""The HTTP API as a program uses it: a client with a token."""

from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from furrow.actions import tokens
from furrow.models import ApiToken
from furrow.models.api_token import Scope

ALL = (Scope.READ, Scope.SUBMIT, Scope.ACT)


class Api:
    """Requests with a token, as JSON."""

    def __init__(self, user: User, *scopes: str, **options: Any) -> None:
        self.token: ApiToken
        self.token, self.secret = tokens.make("test", user=user, scopes=scopes or ALL, **options)
        self.client = Client()

    def get(self, path: str, **headers: str) -> Any:
        """The answer to a GET below ``/api/``."""
        return self.client.get(f"/api/{path}", headers=self._headers(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """The answer to a POST of this as JSON."""
        content = "" if body is None else body
        return self.client.post(f"/api/{path}", content, "application/json", headers=self._headers(headers))

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}", **{name.replace("_", "-"): text for name, text in more.items()}}


def fields(answer: Any) -> dict[str, str]:
    """The fields that a problem names, each with the reason."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    return {error["field"]: error["detail"] for error in answer.json().get("errors", [])}
