"""The pages of queues."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from furrow import State
from furrow.actions.queues import pause, paused_queues
from furrow.diagnosis.figures import queue_figures
from furrow.models import AuditEntry, Worker

from tests.people import login
from tests.rows import HOUR, WORKER, make

ACTS = ("pause", "drain", "resume")

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def worker(db: None) -> Worker:
    """A living one."""
    Worker.objects.all().delete()
    until = timezone.now() + HOUR
    return Worker.objects.create(id=WORKER, node="w1@host", pid=1, processes=2, queues=["default"], lease_until=until)


@pytest.mark.engine
@pytest.mark.django_db
def test_what_stands_in_a_queue(worker: Worker) -> None:
    now = timezone.now()
    for priority, run_at in ((0, now + HOUR), (3, now - HOUR), (5, now - 2 * HOUR), (9, now + HOUR), (9, now + 2 * HOUR)):
        make(State.PENDING, priority=priority, run_at=run_at)
    make(State.QUEUED)
    make(State.RUNNING)
    make(State.RUNNING, queue="other")
    make(State.SUCCEEDED)
    default, other = queue_figures(now)
    assert (default.name, default.due, default.scheduled, default.queued, default.running) == ("default", 2, 3, 1, 1)
    assert default.oldest == now - 2 * HOUR
    assert (default.consumers, default.stopped, default.condition) == ([worker], [], "open")
    assert (other.due, other.scheduled, other.queued, other.running, other.oldest, other.consumers) == (0, 0, 0, 1, None, [])
    worker.paused = ["default"]
    worker.save()
    pause("default", drain=True)
    pause("other", drain=True)
    (default,) = queue_figures(now, "default")
    assert (default.consumers, default.stopped, default.condition) == ([], [worker], "draining")


def test_the_pages_say_what_stands_there(admin_client: Client, worker: Worker) -> None:
    make(State.PENDING)
    make(State.PENDING, queue="other")
    page = admin_client.get("/admin/furrow/queue/").content.decode()
    assert 'href="/admin/furrow/queue/default/change/"' in page
    assert "No running worker consumes this queue." in page
    page = admin_client.get("/admin/furrow/queue/default/change/").content.decode()
    assert "w1@host" in page
    page = admin_client.get("/admin/furrow/queue/other/change/").content.decode()
    assert "Start one: celery -A config worker -Q other" in page
    assert admin_client.get("/admin/furrow/queue/none/change/").status_code == 404


def test_pause_drain_and_resume_and_who_did_it(admin_client: Client, worker: Worker) -> None:
    make(State.RUNNING)
    hostile = "<b>the printer</b>\0"
    page = admin_client.post("/admin/furrow/queue/default/pause/", {"reason": hostile}, follow=True).content.decode()
    assert "Queue default is paused." in page
    assert "&lt;b&gt;the printer&lt;/b&gt;" in page
    assert "<b>the printer" not in page
    assert paused_queues()["default"].paused_by == "admin"
    assert "is paused already" in admin_client.post("/admin/furrow/queue/default/pause/", follow=True).content.decode()
    page = admin_client.post("/admin/furrow/queue/default/drain/", follow=True).content.decode()
    assert "No more jobs are sent. Left: <b>0</b> in RabbitMQ, <b>1</b> running." in page
    page = admin_client.post("/admin/furrow/queue/default/resume/", follow=True).content.decode()
    assert "Queue default is resumed." in page
    assert "was not paused" in admin_client.post("/admin/furrow/queue/default/resume/", follow=True).content.decode()
    done = list(AuditEntry.objects.order_by("id").values_list("action", "target", "who"))
    assert done == [(verb, "queue default", "admin") for verb in ACTS]


def test_the_part_that_changes_is_sent_when_it_has(admin_client: Client, worker: Worker) -> None:
    page = admin_client.get("/admin/furrow/queue/live/")
    assert page.status_code == 200
    assert admin_client.get(f"/admin/furrow/queue/live/?mark={page['X-Mark']}").status_code == 204
    one = admin_client.get("/admin/furrow/queue/default/live/")
    make(State.PENDING)
    for address, mark in (("live/", page["X-Mark"]), ("default/live/", one["X-Mark"])):
        assert admin_client.get(f"/admin/furrow/queue/{address}?mark={mark}").status_code == 200


@pytest.mark.parametrize("permissions", [(), ("view_queue",), ("view_queue", "view_job"), ("act_on_job", "view_job")])
def test_who_may_not_act(client: Client, worker: Worker, permissions: tuple[str, ...]) -> None:
    login(client, *permissions)
    seen = 200 if "view_queue" in permissions else 403
    for path in ("", "live/", "default/change/", "default/live/"):
        assert client.get(f"/admin/furrow/queue/{path}").status_code == seen, path
    for act in ACTS:
        assert client.post(f"/admin/furrow/queue/default/{act}/").status_code == 403
    assert not paused_queues()
    if seen == 200:
        assert "/pause/" not in client.get("/admin/furrow/queue/default/change/").content.decode()


def test_acting_needs_a_post_and_a_token(admin_user: User, worker: Worker) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for act in ACTS:
        assert client.get(f"/admin/furrow/queue/default/{act}/").status_code == 405
        assert client.post(f"/admin/furrow/queue/default/{act}/").status_code == 403
    assert not paused_queues()
