"""``jobs/<id>/output``: a job's output and progress as server-sent events, for bearers of a token and who may view jobs.

A stream lasts for some seconds; the browser then asks again, with the last event's id. So a reader that is gone costs little,
a server can be replaced, and threads come free. With too many streams at once in one process (WSGI: each has a thread) the
others get what there is and are told to come back: they poll.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import Error
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from furrow.actions.permissions import may_view
from furrow.models import Job
from furrow.streaming.reader import Reader
from furrow.streaming.tokens import refusal
from furrow.web import waiters

#: Seconds that a stream lasts, and milliseconds after which a browser asks again; also when it was sent away.
LASTS, AGAIN, SENT_AWAY = 25.0, 500, 2000
#: Seconds between two looks: after one that found something, and the most when nothing comes.
SOON, LATE = 0.1, 1.0
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@require_GET
def output(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse | StreamingHttpResponse:
    """The stream. 403 without a token for this job, 404 when there is no such job: browsers ask no more."""
    token = request.GET.get("token", "")
    if token:
        reason = refusal(token, job_id)
    else:
        reason = "" if may_view(getattr(request, "user", None)) else "a token is missing (?token=)"
    if reason:
        return HttpResponse(f"Not allowed: {reason}.\n", status=403, content_type="text/plain; charset=utf-8")
    try:
        reader = Reader(job_id, request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    except ValueError as error:
        return HttpResponse(f"after: {error}.\n", status=400, content_type="text/plain; charset=utf-8")
    try:
        first = reader.read()
    except Job.DoesNotExist:
        return HttpResponse("There is no such job.\n", status=404, content_type="text/plain; charset=utf-8")
    except Error:  # a browser asks again after an answer that ends, and never after a refusal
        return HttpResponse(f"retry: {SENT_AWAY}\n\n", content_type="text/event-stream", headers=_HEADERS)
    looks = _from_loop(reader, first) if isinstance(request, ASGIRequest) else _in_thread(reader, first)
    return StreamingHttpResponse(looks, content_type="text/event-stream", headers=_HEADERS)


def _in_thread(reader: Reader, first: str) -> Iterator[str]:
    if not waiters.enter():
        yield f"retry: {SENT_AWAY}\n\n{first}"
        return
    try:
        yield f"retry: {AGAIN}\n\n{first}"
        for pause in _pauses(reader):
            time.sleep(pause.length)
            if text := pause.take(_read(reader)):
                yield text
    finally:
        waiters.leave()


async def _from_loop(reader: Reader, first: str) -> AsyncIterator[str]:
    yield f"retry: {AGAIN}\n\n{first}"
    for pause in _pauses(reader):
        await asyncio.sleep(pause.length)
        if text := pause.take(await sync_to_async(_read)(reader)):
            yield text


def _read(reader: Reader) -> str | None:
    """``None``: the database is away, or the job."""
    try:
        return reader.read()
    except (Error, Job.DoesNotExist):
        return None


class _Pause:
    """How long to wait before the next look."""

    def __init__(self) -> None:
        self.length, self.over = SOON, False

    def take(self, text: str | None) -> str:
        """What a look found."""
        self.over = text is None
        self.length = SOON if text else min(self.length * 1.5, LATE)
        return text or ""


def _pauses(reader: Reader) -> Iterator[_Pause]:
    """One before each look, while the stream lasts."""
    pause, until = _Pause(), time.monotonic() + LASTS
    while not reader.ended and not pause.over and time.monotonic() < until:
        yield pause
