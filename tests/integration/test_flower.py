"""The door to Flower: who passes, what passes, what its buttons do, and what it says when Flower is away."""

import http.client
import json
import re
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.test import Client
from furrow import Job, State, submit
from furrow.models import AuditEntry, WorkerRequest
from kombu import Connection

from tests import kinds, people, services
from tests.integration.test_workers import living
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")

VIEWER = ("view_flower", "view_job", "view_worker")


@pytest.fixture
def door(stack: Stack, settings: object) -> Iterator[Stack]:
    """Flower runs, and this process has its address and secret."""
    flower = {"FLOWER_URL": stack.flower_url, "FLOWER_BASIC_AUTH": ":".join(stack.flower_auth)}
    settings.FURROW = {**settings.FURROW, **flower}  # type: ignore[attr-defined]
    host = urlsplit(stack.flower_url).netloc

    def answers() -> bool:
        try:
            connection = http.client.HTTPConnection(host, timeout=2)
            connection.request("GET", "/flower/healthcheck")
            return connection.getresponse().status == 200
        except OSError:
            return False

    wait_until(answers, what="Flower answers")
    yield stack
    User.objects.filter(username="somebody").delete()


def login(*permissions: str, checks: bool = False) -> Client:
    """A staff member who may just this; ``checks``: also the CSRF token."""
    User.objects.filter(username="somebody").delete()
    return people.login(Client(enforce_csrf_checks=checks), *permissions)


def text(answer: object) -> str:
    """What was answered, streamed or not."""
    parts = answer.streaming_content if answer.streaming else [answer.content]  # type: ignore[attr-defined]
    return b"".join(parts).decode(errors="replace")


def test_who_passes(door: Stack) -> None:
    answer = Client().get("/flower/tasks?a=1")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/flower/tasks%3Fa%3D1")
    assert login("view_job", "view_worker").get("/flower/").status_code == 403
    client = login(*VIEWER)
    page = client.get("/flower/")
    assert page.status_code == 200
    assert ">Furrow</a>" in text(page)
    assert set(page.cookies) <= {"_xsrf", "csrftoken"}
    assert "Set-Cookie" not in page.headers
    assert "WWW-Authenticate" not in page.headers
    assert door.flower_auth[1] not in text(page)
    assert client.get("/flower")["Location"] == "/flower/"


def test_what_passes(door: Stack) -> None:
    client = login(*VIEWER)
    page = text(client.get("/flower/tasks"))
    for address in re.findall(r'(?:src|href)="(/flower/static/[^"]+)"', page):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert len(text(answer)) > 100
    script = client.get("/flower/static/js/flower.js")
    assert script.streaming
    assert script.headers["Content-Type"].startswith(("text/javascript", "application/javascript"))
    etag: Any = {"HTTP_IF_NONE_MATCH": script.headers["Etag"]}
    assert client.get("/flower/static/js/flower.js", **etag).status_code == 304
    assert client.get("/flower/api/workers?refresh=1").status_code == 200
    for path in ("metrics", "healthcheck", "login", "logout", "api/tasks", "api/task/result/1", "api/queues/length", "x"):
        assert client.get(f"/flower/{path}").status_code == 404, path
    assert client.delete("/flower/").status_code == 405
    assert client.options("/flower/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "static/../metrics",
        "static/%2e%2e/metrics",
        "static/..%2f..%2fetc/passwd",
        "worker/a%0d%0aX-Evil:%201",
        "worker/%00",
        "static/..\\metrics",
        "/example.org/",
        "%2f%2fexample.org/tasks",
        "workers?a=%0d%0aX-Evil: 1",
    ],
)
def test_hostile_paths(door: Stack, path: str) -> None:
    answer = login(*VIEWER).get(f"/flower/{path}")
    assert answer.status_code in (200, 400, 404)
    assert "X-Evil" not in answer.headers
    assert "process_cpu" not in text(answer)


def test_a_task_page_links_to_its_job(door: Stack) -> None:
    job = submit(kinds.add, {"a": 1})
    link = f'href="/admin/furrow/job/{job.pk}/change/"'
    client = login(*VIEWER)
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    wait_until(lambda: client.get(f"/flower/task/{job.pk}").status_code == 200, what="Flower knows the task")
    page = text(client.get(f"/flower/task/{job.pk}"))
    assert link in page
    assert "kinds.add" in page
    unknown = submit(kinds.add, {"a": 1}, countdown=3600)
    of_unknown = client.get(f"/flower/task/{unknown.pk}")
    assert of_unknown.status_code == 404
    assert f'href="/admin/furrow/job/{unknown.pk}/change/"' in text(of_unknown)
    assert "Open the job" not in text(client.get(f"/flower/task/{uuid.uuid4()}"))
    assert link not in text(login("view_flower").get(f"/flower/task/{job.pk}"))


def test_terminate_and_revoke_cancel_the_job(door: Stack) -> None:
    client = login(*VIEWER, "act_on_job")
    running, later = submit(kinds.sleeps, {"seconds": 60}), submit(kinds.add, {"a": 1}, countdown=3600)
    wait_until(lambda: Job.objects.get(pk=running.pk).state == State.RUNNING)
    for job in (running, later):
        answer = client.post(f"/flower/api/task/revoke/{job.pk}", {"terminate": "true"})
        assert json.loads(text(answer)) == {"message": f"Cancelled job {job.pk}"}
        wait_until(partial(lambda job: Job.objects.get(pk=job.pk).state == State.CANCELLED, job), what="it is cancelled")
    assert client.post(f"/flower/api/task/revoke/{later.pk}").status_code == 409
    entry = AuditEntry.objects.filter(job=running.pk).get()
    assert (entry.action, entry.who, entry.origin) == ("cancel", "somebody", "Flower")


def test_an_ordinary_task_is_revoked_by_flower_itself(door: Stack) -> None:
    client = login(*VIEWER, "act_on_job")
    id = str(uuid.uuid4())
    assert "Revoked" in text(client.post(f"/flower/api/task/revoke/{id}", {"terminate": "false"}))
    with Connection(services.broker.url) as link:
        wait_until(lambda: id in str(current_app.control.inspect(connection=link).revoked()), what="the worker knows")


def test_a_workers_buttons_ask_as_our_pages_do(door: Stack) -> None:
    client = login(*VIEWER, "act_on_job")
    worker = living()
    for path in ("queue/cancel-consumer", "queue/add-consumer"):
        answer = client.post(f"/flower/api/worker/{path}/{worker.node}", {"queue": "other"})
        assert "was asked to" in json.loads(text(answer))["message"]
    assert list(WorkerRequest.objects.order_by("pk").values_list("action", "subject")) == [
        ("pause", "other"),
        ("resume", "other"),
    ]
    wait_until(lambda: WorkerRequest.objects.filter(succeeded=True).count() == 2, what="it did both")
    client.get("/flower/api/workers?refresh=1")
    wait_until(lambda: client.get(f"/flower/worker/{worker.node}").status_code == 200, what="Flower knows it")
    answer = client.post(f"/flower/api/worker/pool/grow/{worker.node}", {"n": "0"})
    assert worker.node in text(answer), "Flower did it"
    assert AuditEntry.objects.filter(action="grow", target=f"worker {worker.node}").exists()


def test_who_may_only_look_finds_no_button_and_no_act(door: Stack) -> None:
    job = submit(kinds.sleeps, {"seconds": 60})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    client = login(*VIEWER)
    assert "flower_read_only.css" in text(client.get("/flower/"))
    node = living().node
    acts = ("task/revoke/" + str(job.pk), *(f"worker/{what}/{node}" for what in ("shutdown", "pool/restart", "pool/grow")))
    for path in acts:
        assert client.post(f"/flower/api/{path}").status_code == 403, path
    none = ("task/apply/kinds.add", "task/async-apply/kinds.add", "task/send-task/kinds.add", "x")
    for path in none:
        assert client.post(f"/flower/api/{path}", {"args": "[1]"}).status_code == 404, path
    client = login(*VIEWER, "act_on_job")
    for path in none:
        assert client.post(f"/flower/api/{path}", {"args": "[1]"}).status_code == 404, path
    assert "flower_read_only.css" not in text(client.get("/flower/"))
    assert Job.objects.get(pk=job.pk).cancel_requested_at is None
    assert not WorkerRequest.objects.exists()


def test_a_kinds_own_permission_is_asked_for(door: Stack) -> None:
    client = login(*VIEWER, "act_on_job")
    job = submit(kinds.guarded, countdown=600)
    acts = (f"task/revoke/{job.pk}", f"task/timeout/{kinds.guarded.name}", f"task/rate-limit/{kinds.guarded.name}")
    for path in acts:
        assert client.post(f"/flower/api/{path}", {"ratelimit": "1/m", "soft": "1", "workername": "x"}).status_code == 403, path
    assert client.post("/flower/api/task/rate-limit/kinds.add", {"ratelimit": "1/m", "workername": "x"}).status_code != 403


def test_acting_needs_djangos_token(door: Stack) -> None:
    client = login(*VIEWER, "act_on_job", checks=True)
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    path = f"/flower/api/task/revoke/{job.pk}"
    token = client.get("/flower/").cookies["_xsrf"].value
    assert client.post(path).status_code == 403
    assert client.post(path, headers={"X-XSRFToken": "a" * 64}).status_code == 403
    assert client.post(path, headers={"X-XSRFToken": token, "Origin": "https://evil.example"}).status_code == 403
    assert Job.objects.get(pk=job.pk).state == State.PENDING
    assert client.post(path, headers={"X-XSRFToken": token}).status_code == 200
    table = {"draw": "1", "start": "0", "length": "5", "order[0][column]": "0", "columns[0][data]": "name"}
    assert client.post("/flower/tasks/datatable", table).status_code == 403
    answer = client.post("/flower/tasks/datatable", table, headers={"X-XSRFToken": token})
    assert "data" in json.loads(text(answer))


def test_flower_is_away(door: Stack, settings: object) -> None:
    client = login(*VIEWER)
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": "http://127.0.0.1:9/flower"}  # type: ignore[attr-defined]
    page = client.get("/flower/")
    assert page.status_code == 502
    assert "It does not answer at 127.0.0.1:9" in text(page)
    assert "celery -A config flower" in text(page)
    short = client.get("/flower/workers?json=1", headers={"X-Requested-With": "XMLHttpRequest"})
    assert text(short).startswith("Flower is away.")
    wrong = {"FLOWER_URL": door.flower_url, "FLOWER_BASIC_AUTH": "flower:wrong"}
    settings.FURROW = {**settings.FURROW, **wrong}  # type: ignore[attr-defined]
    assert "It refuses the secret" in text(client.get("/flower/"))
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": ""}  # type: ignore[attr-defined]
    assert "FLOWER_URL is not set" in text(client.get("/flower/"))
