"""Under an ASGI server a body that will be refused is not received."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core import signals
from django.db import close_old_connections
from django.test import Client
from django.test.client import encode_multipart
from furrow import Job
from furrow.web.asgi import BoundedHandler

from tests.people import login
from tests.stack import PYTHON, Stack, wait_until

pytestmark = [pytest.mark.usefixtures("media"), pytest.mark.filterwarnings("ignore:No directory at")]

MIB = 1024 * 1024
FORM = "/admin/furrow/job/submit/kinds.greets/"


def asked(
    path: str, chunks: list[bytes] | None = None, *, client: Client | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of the answer to a POST; without ``chunks`` its body must not be received."""
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in (client.cookies if client else {}).items())
    given = {"host": "localhost", "cookie": cookies, "content-type": "multipart/form-data; boundary=x", **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    waiting = list(chunks or ())
    sent: list[Any] = []

    async def receive() -> Any:
        if chunks is None:
            raise AssertionError("the body was received before it was refused")
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    handler = BoundedHandler()
    handler.load_middleware(is_async=True)
    for signal in (signals.request_started, signals.request_finished):  # as Django's own test clients do
        signal.disconnect(close_old_connections)
    try:
        async_to_sync(handler.handle)(scope, receive, send)
    finally:
        for signal in (signals.request_started, signals.request_finished):
            signal.connect(close_old_connections)
    start = sent[0]
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return start["status"], text, {name.decode().lower(): value.decode() for name, value in start["headers"]}


@pytest.mark.django_db
@pytest.mark.parametrize("path", [FORM, "/admin/", "/admin/login/", "/flower/", "/metrics"])
def test_a_stranger_sends_no_body(path: str) -> None:
    status, text, headers = asked(path, headers={"content-length": str(300 * MIB)})
    assert (status, "without a login at most 16.0 KB" in text) == (413, True)
    assert "content-security-policy" in headers, "the answer has passed Django's middleware"


@pytest.mark.django_db
def test_what_is_too_large_or_without_a_length_or_permission_is_not_received(site: Client) -> None:
    assert asked(FORM, client=site, headers={"content-length": str(25 * MIB)})[0] == 413
    assert asked(FORM, client=site, headers={"transfer-encoding": "chunked"})[0] == 411
    assert asked(FORM, client=site, headers={"content-length": "many"})[0] == 403, "of no length for Django: no CSRF token"
    viewer = Client()
    login(viewer, "view_job")
    assert asked(FORM, client=viewer, headers={"content-length": str(15 * MIB)})[0] == 403
    status, text, _ = asked(FORM, [b"x" * 100, b"x" * MIB], client=site)
    assert (status, "Content-Length" in text) == (411, True), "HTTP/2 may leave the length out"


@pytest.mark.django_db
def test_what_is_within_the_limits_is_received_and_no_more_of_it(site: Client, admin_user: User) -> None:
    site.get(FORM)
    token = site.cookies["csrftoken"].value
    body = encode_multipart("x", {"user": admin_user.pk, "csrfmiddlewaretoken": token})
    status, text, _ = asked(FORM, [body[:50], body[50:], b"and more"], client=site, headers={"content-length": str(len(body))})
    assert status == 302, text
    assert Job.objects.get().arguments["user"] == admin_user.pk


def test_an_asgi_server_answers_before_the_body_is_sent(bare: Stack) -> None:
    port = bare._port("asgi")
    bare.start(
        "asgi",
        [PYTHON, "-m", "gunicorn", "-c", "python:config.web_server", "-k", "asgi", "-b", f"127.0.0.1:{port}", "config.asgi"],
    )
    head = f"POST /admin/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {300 * MIB}\r\n\r\n"

    def answer() -> bytes:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head.encode())
            return connection.recv(4096)
        return b""

    wait_until(lambda: answer().startswith(b"HTTP/1.1 413"), what="refused by its length alone")
