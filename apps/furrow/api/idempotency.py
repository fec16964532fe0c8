"""Idempotency keys: a request that is sent again with its key gets the first answer, and does nothing."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from ninja import Header

from furrow.models import ApiAnswer
from furrow.models.database import atomic
from furrow.web.problems import Refused

#: The header, as an operation's parameter.
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
REPLAYED = "Idempotency-Replayed"


def once(request: HttpRequest, user: Any, key: str | None, do: Callable[[], tuple[int, Any]]) -> HttpResponse:
    """Do it, and keep the answer under the user's key, in one transaction; or the answer that is kept there. What is refused
    keeps nothing: the key may be used again.

    Raises:
        Refused: 422, when the key was used with another request.
    """
    with atomic():
        if key is None:
            return _answer(*_as_text(do()))
        digest = hashlib.sha256(f"{request.method} {request.path}\n".encode() + request.body).hexdigest()
        mine = ApiAnswer(user=str(user.pk), key=key, request=digest)
        # A second request with the same key waits here for the first one's transaction.
        ApiAnswer.objects.bulk_create([mine], ignore_conflicts=True)
        kept = ApiAnswer.objects.get(user=mine.user, key=key)
        if kept.request != digest:
            text = "was used with another request: give each request a key of its own"
            raise Refused(422, fields={"Idempotency-Key": text})
        if kept.status:
            answer = _answer(kept.status, kept.body)
            answer[REPLAYED] = "true"
            return answer
        kept.status, kept.body = _as_text(do())
        kept.save(update_fields=["status", "body"])
        return _answer(kept.status, kept.body)


def _as_text(answer: tuple[int, Any]) -> tuple[int, str]:
    status, content = answer
    return status, json.dumps(content, cls=DjangoJSONEncoder)


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="application/json; charset=utf-8")
