"""Django under an ASGI server, with the limits of bodies (:mod:`furrow.web.bodies`) checked before a body is received.

Django's own handler receives the whole body, onto the disk, before its middleware sees the request. This one asks beforehand,
by the session and the address, whether the middleware will refuse; a request that it will refuse reaches Django without its
body, so that the answer is Django's, with all its headers. Import this after ``django.setup``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse
from django.urls import resolve

from furrow.web.bodies import refusal

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

_EMPTY: Message = {"type": "http.request", "body": b"", "more_body": False}


class BoundedHandler(ASGIHandler):
    """The application, in place of Django's ``get_asgi_application()``. Receives no body that will be refused, and of others no
    more than their length."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        named = dict(scope["headers"])
        if b"transfer-encoding" not in named and b"content-length" not in named:
            first: Message = await receive()
            if first.get("body") or first.get("more_body"):  # HTTP/2 needs no length; the middleware asks for one
                scope = {**scope, "headers": [*scope["headers"], (b"transfer-encoding", b"unknown")]}
                receive = _nothing()
            else:
                receive = _after(first, receive)
        elif not (length := named.get(b"content-length", b"")).isdigit() or await sync_to_async(_refused)(scope):
            receive = _nothing()
        else:
            receive = _at_most(int(length[:20]), receive)
        await super().handle(scope, receive, send)


def _refused(scope: Any) -> bool:
    """The middleware will refuse this request's body; or the request will not come as far."""
    try:
        request = ASGIRequest(scope, BytesIO())
        for middleware in (SessionMiddleware, AuthenticationMiddleware):
            middleware(lambda request: HttpResponse()).process_request(request)
        view, _, kwargs = resolve(request.path_info)
        return refusal(request, view, kwargs) is not None
    except Exception:  # Django meets it again, and answers
        return True


def _nothing() -> Receive:
    """Receives an empty body, and then waits: for the answer, which ends the wait."""
    given: list[Message] = [_EMPTY]

    async def receive() -> Message:
        return given.pop() if given else await asyncio.get_running_loop().create_future()

    return receive


def _after(first: Message, receive: Receive) -> Receive:
    given = [first]

    async def received() -> Message:
        return given.pop() if given else await receive()

    return received


def _at_most(length: int, receive: Receive) -> Receive:
    """Receives a body of this length; what comes after it is thrown away."""
    left, ended = length, False

    async def received() -> Message:
        nonlocal left, ended
        while (message := await receive())["type"] == "http.request":
            if ended:
                continue
            body = message.get("body", b"")[:left]
            left -= len(body)
            ended = not (left and message.get("more_body", False))
            return {**message, "body": body, "more_body": not ended}
        return message

    return received
