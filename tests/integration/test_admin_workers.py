"""The pages of workers."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from furrow import Job, State
from furrow.diagnosis.wording import size
from furrow.models import AuditEntry, Worker, WorkerRequest

from tests.people import login
from tests.rows import HOUR, WORKER, make

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")

ONE = f"/admin/furrow/worker/{WORKER}/change/"


@pytest.fixture
def worker(db: None) -> Worker:
    """A living one with two processes, of which one runs a job."""
    Worker.objects.all().delete()
    job = make(State.RUNNING, kind="<b>kinds</b>.sleeps")
    pool: list[dict[str, Any]] = [
        {"pid": 11, "since": 1.8e9, "rss": 90 << 20, "pss": 30 << 20},
        {"pid": 12, "since": 1.8e9, "rss": 80 << 20, "pss": None},
    ]
    pool[1] |= {"job": str(job.pk), "kind": job.kind, "seconds": 3.0}
    return Worker.objects.create(
        id=WORKER,
        node="w1@<host>",
        host="<host>",
        pid=11,
        processes=2,
        version="1.2.3",
        queues=["default", "other"],
        kinds=["kinds.add"],
        paused=["other"],
        ended=1234,
        failed=7,
        stats={"at": 1.8e9, "processes": pool},
        lease_until=timezone.now() + HOUR,
    )


def test_the_pages_tell_what_is_known(admin_client: Client, worker: Worker) -> None:
    lost = Worker.objects.create(node="lost@host", pid=1, processes=1, lease_until=timezone.now() - HOUR)
    page = admin_client.get("/admin/furrow/worker/").content.decode()
    for text in ("w1@&lt;host&gt;", "110 MiB", "1,234", "7 failed", "lost@host", 'class="fw-struck"'):
        assert text in page, text
    page = admin_client.get(ONE).content.decode()
    for text in (
        "w1@&lt;host&gt;",
        "30 MiB",
        "80 MiB",
        "&lt;b&gt;kinds&lt;/b&gt;.sleeps",
        "process 12",
        "1.2.3",
        "Resume here",
        "Pause here",
    ):
        assert text in page, text
    assert "<host>" not in page
    page = admin_client.get(f"/admin/furrow/worker/{lost.pk}/change/").content.decode()
    assert "Lease not renewed" in page
    assert "Shut down" not in page
    assert "w1@&lt;host&gt;" in admin_client.get("/admin/furrow/worker/all/?q=w1").content.decode()
    live = admin_client.get("/admin/furrow/worker/live/")
    assert admin_client.get(f"/admin/furrow/worker/live/?mark={live['X-Mark']}").status_code == 204


def test_what_may_be_asked_is_asked_and_written_down(admin_client: Client, worker: Worker) -> None:
    for given in (
        {"action": "pause", "subject": "default"},
        {"action": "restart"},
        {"action": "shutdown", "subject": "ignored"},
    ):
        page = admin_client.post(f"/admin/furrow/worker/{WORKER}/ask/", given, follow=True).content.decode()
        assert "The worker was asked to" in page
    admin_client.post(f"/admin/furrow/worker/{WORKER}/ask/", {"action": "restart"})
    asked = WorkerRequest.objects.order_by("pk").values_list("action", "subject", "asked_by")
    assert list(asked) == [("pause", "default", "admin"), ("restart", "", "admin"), ("shutdown", "", "admin")]
    assert AuditEntry.objects.filter(target__startswith="worker w1@<host>").count() == 4
    for given in ({}, {"action": "stack"}, {"action": "delete"}, {"action": "pause"}, {"action": "pause", "subject": "none"}):
        assert admin_client.post(f"/admin/furrow/worker/{WORKER}/ask/", given).status_code == 404
    Worker.objects.update(stopped_at=timezone.now())
    page = admin_client.post(f"/admin/furrow/worker/{WORKER}/ask/", {"action": "restart"}, follow=True).content.decode()
    assert "this worker has ended" in page
    assert WorkerRequest.objects.count() == 3


def test_a_stack_is_asked_for_and_shown(admin_client: Client, worker: Worker) -> None:
    job = Job.objects.get()
    page = admin_client.post(f"/admin/furrow/worker/stack/{job.pk}/", follow=True)
    assert "its answer appears here" in page.content.decode()
    asked = WorkerRequest.objects.get()
    live = f"/admin/furrow/worker/request/{asked.pk}/live/"
    seen = admin_client.get(live)
    assert "X-Last" not in seen
    WorkerRequest.objects.update(asked_at=timezone.now() - dt.timedelta(seconds=30))
    assert "The worker has not reacted" in admin_client.get(live).content.decode()
    now = timezone.now()
    WorkerRequest.objects.update(taken_at=now, answered_at=now, succeeded=True, answer="File <b>x</b>")
    seen = admin_client.get(f"{live}?mark={seen['X-Mark']}")
    assert "File &lt;b&gt;x&lt;/b&gt;" in seen.content.decode()
    assert seen["X-Last"] == "yes"
    WorkerRequest.objects.update(taken_at=None, answered_at=None, succeeded=None)
    Worker.objects.update(stopped_at=now)
    assert "No answer: the worker has ended" in admin_client.get(live).content.decode()
    page = admin_client.post(f"/admin/furrow/worker/stack/{job.pk}/", follow=True)
    assert "Not sent: the job is not running" in page.content.decode()
    assert admin_client.post(f"/admin/furrow/worker/stack/{uuid.uuid4()}/").status_code == 404
    assert admin_client.get(f"/admin/furrow/worker/request/{uuid.uuid4()}/").status_code == 404


@pytest.mark.parametrize("permissions", [(), ("view_worker",), ("view_worker", "view_job"), ("act_on_job", "view_job")])
def test_who_may_not(client: Client, worker: Worker, permissions: tuple[str, ...]) -> None:
    job = Job.objects.get()
    login(client, *permissions)
    seen = 200 if "view_worker" in permissions else 403
    for path in ("", "live/", f"{WORKER}/live/", f"{WORKER}/change/", "all/"):
        assert client.get(f"/admin/furrow/worker/{path}").status_code == seen, path
    if seen == 200:
        page = client.get(ONE).content.decode()
        assert ("Running jobs" in page) == ("view_job" in permissions)
        assert "&lt;b&gt;kinds" not in page or "view_job" in permissions
        assert "/ask/" not in page
    assert client.post(f"/admin/furrow/worker/{WORKER}/ask/", {"action": "shutdown"}).status_code == 403
    if "act_on_job" not in permissions:
        assert client.post(f"/admin/furrow/worker/stack/{job.pk}/").status_code == 403
        assert not WorkerRequest.objects.exists()
    asked = WorkerRequest.objects.create(worker=WORKER, action="stack", subject=str(job.pk), asked_at=timezone.now())
    expected = 200 if "view_job" in permissions else 403
    assert client.get(f"/admin/furrow/worker/request/{asked.pk}/").status_code == expected


def test_asking_needs_a_post_and_a_token(admin_user: User, worker: Worker) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for path in (f"{WORKER}/ask/", f"stack/{Job.objects.get().pk}/"):
        assert client.get(f"/admin/furrow/worker/{path}").status_code == 405
        assert client.post(f"/admin/furrow/worker/{path}", {"action": "shutdown"}).status_code == 403
    assert not WorkerRequest.objects.exists()


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, "—"), (0, "0 KiB"), (1 << 19, "512 KiB"), (3 << 19, "1.5 MiB"), (84 << 20, "84 MiB"), (3 << 29, "1.5 GiB")],
)
def test_sizes(count: int | None, said: str) -> None:
    assert size(count) == said
