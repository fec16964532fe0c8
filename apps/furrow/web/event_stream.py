"""Server-sent events: a stream that lasts for some seconds; the browser then asks again, with the last event's id.

So a reader that is gone costs little, a server can be replaced, and threads come free. With too many streams at once in one
process (WSGI: each has a thread) the others get what there is and are told to come back: they poll.

The form: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.core.handlers.asgi import ASGIRequest
from django.db import Error
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from furrow.web import waiters

CONTENT_TYPE = "text/event-stream"
#: Seconds that a stream lasts, at most, and milliseconds after which a browser asks again; also when it was sent away.
LASTS, AGAIN, SENT_AWAY = 25.0, 500, 2000
#: Seconds between two looks: after one that found something, and the most when nothing comes.
SOON, LATE = 0.1, 1.0
#: For ``str.translate``: a line break within JSON text, as another program may write it, would end an event.
NO_BREAKS = {10: " ", 13: " "}
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class Reader(Protocol):
    """What a stream is made of."""

    @property
    def ended(self) -> bool:
        """Nothing will come any more."""

    def read(self) -> str:
        """The events since the last call; empty when there are none.

        Raises:
            ObjectDoesNotExist: what it reads of is not there, perhaps no more.
            Error: of the database.
        """


def stream(request: HttpRequest, reader: Reader, seconds: float = LASTS) -> HttpResponse | StreamingHttpResponse:
    """The answer, which lasts for so long.

    Raises:
        ObjectDoesNotExist: what it reads of is not there.
    """
    try:
        first = reader.read()
    except Error:
        return come_back()
    until = time.monotonic() + min(seconds, LASTS)
    looks = _from_loop(reader, first, until) if isinstance(request, ASGIRequest) else _in_thread(reader, first, until)
    return StreamingHttpResponse(looks, content_type=CONTENT_TYPE, headers=_HEADERS)


def come_back() -> HttpResponse:
    """The database is away: a browser asks again after an answer that ends, and never after a refusal."""
    return HttpResponse(f"retry: {SENT_AWAY}\n\n", content_type=CONTENT_TYPE, headers=_HEADERS)


def _in_thread(reader: Reader, first: str, until: float) -> Iterator[str]:
    if not waiters.enter():
        yield f"retry: {SENT_AWAY}\n\n{first}"
        return
    try:
        yield f"retry: {AGAIN}\n\n{first}"
        for pause in _pauses(reader, until):
            time.sleep(pause.length)
            if text := pause.take(_read(reader)):
                yield text
    finally:
        waiters.leave()


async def _from_loop(reader: Reader, first: str, until: float) -> AsyncIterator[str]:
    yield f"retry: {AGAIN}\n\n{first}"
    for pause in _pauses(reader, until):
        await asyncio.sleep(pause.length)
        if text := pause.take(await sync_to_async(_read)(reader)):
            yield text


def _read(reader: Reader) -> str | None:
    """``None``: the database is away, or what it reads of."""
    try:
        return reader.read()
    except (Error, ObjectDoesNotExist):
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


def _pauses(reader: Reader, until: float) -> Iterator[_Pause]:
    """One before each look, while the stream lasts."""
    pause = _Pause()
    while not reader.ended and not pause.over and time.monotonic() < until:
        yield pause
