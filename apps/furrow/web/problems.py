"""Problems: errors for programs, in the form of RFC 9457 (``application/problem+json``)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse

CONTENT_TYPE = "application/problem+json"
#: Names of the addresses below which every refusal is a problem rather than a page.
_roots: set[str] = set()


class Refused(Exception):
    """A request is refused; the answer is a problem. ``fields`` maps each field at fault to the reason and the remedy."""

    def __init__(
        self, status: int, detail: str = "", fields: Mapping[str, str] | None = None, *, retry_after: float | None = None
    ) -> None:
        self.status, self.fields, self.retry_after = status, dict(fields or {}), retry_after
        self.detail = detail or "; ".join(f"{name}: {text}" for name, text in self.fields.items())
        super().__init__(self.detail)

    def answer(self) -> HttpResponse:
        """The problem."""
        title = HTTPStatus(self.status).phrase
        content: dict[str, Any] = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        if self.fields:
            content["errors"] = [{"field": name, "detail": text} for name, text in self.fields.items()]
        headers = {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after + 0.5)))
        return HttpResponse(json.dumps(content), status=self.status, content_type=CONTENT_TYPE, headers=headers)


def database_away() -> HttpResponse:
    """The answer while the database is away."""
    return Refused(503, "The database does not answer: try again soon.", retry_after=5).answer()


def spoken_below(root: str) -> None:
    """Below the address of this name every refusal is a problem."""
    _roots.add(root)


def are_spoken(request: HttpRequest) -> bool:
    """Whether who asks here is a program that wants a problem rather than a page."""
    for root in _roots:
        try:
            if request.path.startswith(reverse(root)):
                return True
        except NoReverseMatch:  # the project serves it under other URLs
            continue
    return False
