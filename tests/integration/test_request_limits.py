"""Bodies of requests are refused before they are read: by size, by login, by permission; and what is read has its limits."""

import contextlib
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from config import web_server
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from furrow import Job
from gunicorn.workers.gthread import ThreadWorker
from pytest_django import Settings

from tests.people import login
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.usefixtures("media"), pytest.mark.filterwarnings("ignore:No directory at")]

MIB = 1024 * 1024
FORM, TABLE = "/admin/furrow/job/submit/kinds.greets/", "/admin/furrow/job/submit/kinds.greets/table/"
EVERYWHERE = (FORM, TABLE, "/admin/", "/admin/login/", "/admin/furrow/job/", "/admin/furrow/job/bulk/", "/flower/", "/metrics")
MULTIPART = "multipart/form-data; boundary=x"


class Unread:
    """A body that must not be read."""

    def read(self, *size: int) -> bytes:
        """Nobody may."""
        raise AssertionError("the body was read before it was refused")

    readline = read


def posted(client: Client, path: str, **environ: Any) -> tuple[int, str]:
    """Status and text of the answer to a POST whose body must not be read: with a CSRF cookie, since Django compares that with
    what is in the body."""
    client.handler.enforce_csrf_checks = True
    client.cookies["csrftoken"] = "x" * 32
    client.raise_request_exception = False
    given = {"PATH_INFO": path, "REQUEST_METHOD": "POST", "CONTENT_TYPE": MULTIPART, "wsgi.input": Unread()}
    answer = client.request(**given, **environ)
    return answer.status_code, answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", EVERYWHERE)
def test_a_stranger_fills_no_disk(client: Client, path: str) -> None:
    status, text = posted(client, path, CONTENT_LENGTH=str(300 * MIB))
    assert status == 413
    assert "300.0 MB; without a login at most 16.0 KB are accepted: log in first" in text


@pytest.mark.django_db
def test_who_may_not_submit_sends_no_file(client: Client) -> None:
    login(client, "view_job")
    assert posted(client, FORM, CONTENT_LENGTH=str(15 * MIB))[0] == 403
    assert posted(client, TABLE, CONTENT_LENGTH=str(15 * MIB))[0] == 403
    assert posted(client, FORM, CONTENT_LENGTH="300")[0] == 403


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/nowhere/", "/admin/nowhere/", "/admin/furrow/job/submit/no.such.kind/", "/admin/furrow/job"]
)
@pytest.mark.parametrize("who", ["stranger", "may view", "superuser"])
def test_an_address_that_is_none_reads_nothing(client: Client, admin_user: User, path: str, who: str) -> None:
    if who == "may view":
        login(client, "view_job")
    elif who == "superuser":
        client.force_login(admin_user)
    status, _ = posted(client, path, CONTENT_LENGTH=str(300 * MIB))
    assert status in (301, 302, 403, 404, 413)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "most"),
    [(FORM, "at most 24.0 MB: 4.0 MB for its texts, 20.0 MB for files (a file FURROW_MAX_UPLOAD_BYTES, all of them FURROW_MAX"),
     (TABLE, "at most 14.0 MB"), ("/admin/", "at most 4.0 MB: 4.0 MB for its texts, and no files"),
     ("/admin/auth/user/add/", "at most 4.0 MB")],
)  # fmt: skip
def test_what_is_too_large_is_refused_and_the_limit_named(site: Client, path: str, most: str) -> None:
    status, text = posted(site, path, CONTENT_LENGTH=str(25 * MIB))
    assert (status, most in text) == (413, True), text


@pytest.mark.django_db
def test_the_files_of_a_request_have_a_limit_together(site: Client, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_REQUEST_BYTES": MIB}
    status, text = posted(site, FORM, CONTENT_LENGTH=str(6 * MIB))
    assert (status, "1.0 MB for files" in text) == (413, True)
    site.handler.enforce_csrf_checks = False
    letter = SimpleUploadedFile("letter.txt", b"x" * (2 * MIB))
    answer = site.post(FORM, {"user": User.objects.get().pk, "letter": letter})
    assert "the limit is 1.0 MB" in answer.content.decode()


@pytest.mark.django_db
def test_a_body_without_a_length_is_refused(site: Client) -> None:
    status, text = posted(site, FORM, HTTP_TRANSFER_ENCODING="chunked")
    assert (status, "Content-Length" in text) == (411, True)


@pytest.mark.django_db
def test_files_are_left_out_where_none_are_taken(site: Client) -> None:
    answer = site.post("/admin/auth/group/add/", {"name": SimpleUploadedFile("x", b"y" * 100), "other": "x"})
    assert answer.wsgi_request.FILES == {}
    assert answer.status_code == 200, "the form, since no name was given"
    assert not Group.objects.exists()


@pytest.mark.django_db
def test_more_fields_and_files_than_a_form_may_have(site: Client) -> None:
    many = site.post("/admin/furrow/job/bulk/", {f"f{n}": "x" for n in range(2_001)})
    assert (many.status_code, "FIELDS" in many.content.decode()) == (400, True)
    files = site.post(FORM, {f"f{n}": SimpleUploadedFile("x", b"y") for n in range(21)})
    assert (files.status_code, "FILES" in files.content.decode()) == (400, True)
    texts = site.post(FORM, {"user": "x" * (5 * MIB)})
    assert (texts.status_code, "DATA_UPLOAD_MAX_MEMORY_SIZE" in texts.content.decode()) == (400, True)
    assert site.get("/admin/furrow/job/?" + "&".join(f"a{n}=1" for n in range(2_001))).status_code == 400
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_a_file_within_the_limits_is_taken(site: Client, admin_user: User) -> None:
    letter = SimpleUploadedFile("letter.txt", b"x" * (5 * MIB))
    assert site.post(FORM, {"user": admin_user.pk, "letter": letter}).status_code == 302
    assert Job.objects.get().arguments["letter"].endswith("letter.txt")


# --- Slow clients -----------------------------------------------------------------------------------------------------


def test_clients_that_send_next_to_nothing_keep_no_thread(stack: Stack) -> None:
    where = urlsplit(stack.web_url)
    wait_until(lambda: answers(stack), seconds=30, what="the web server answers")
    with contextlib.ExitStack() as slow:
        for beginning in (b"GET /admin/ HTTP/1.1\r\nHost: x\r\n", b"") * 8:  # the server has four threads
            connection = slow.enter_context(socket.create_connection((where.hostname, where.port)))
            connection.sendall(beginning)
        wait_until(lambda: answers(stack), what="others are answered")


def answers(stack: Stack) -> bool:
    """The web server does, within a second."""
    where = urlsplit(stack.web_url)
    with contextlib.suppress(OSError), socket.create_connection((where.hostname, where.port), timeout=1) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b" 200 " in connection.recv(100)
    return False


def test_a_body_that_does_not_come_in_its_time_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThreadWorker, "murder_pending", lambda self: None)
    worker = web_server.Worker.__new__(web_server.Worker)
    server, client = socket.socketpair()
    with server, client:
        connection = type("Connection", (), {"sock": server})()
        worker._due = {connection: float("inf")}
        worker.murder_pending()
        assert worker._due, "it has time"
        worker._due = {connection: 0.0}
        worker.murder_pending()
        assert (server.recv(1), worker._due) == (b"", {})
        server.sendall(b"an answer")
        assert client.recv(9) == b"an answer"
