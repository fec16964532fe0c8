"""All pages: when there is nothing, when texts are hostile, and that they load nothing from elsewhere."""

import datetime as dt
import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from furrow import Attempt, LogLine, State
from furrow.models import Event, Leader, Worker

from tests.rows import make

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

EVIL = "</pre><script>alert(1)</script>"
ESCAPED = "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.mark.parametrize(
    "path", ["", "furrow/job/", "furrow/attempt/", "furrow/logline/", "furrow/worker/", "furrow/leader/", "furrow/event/",
             "auth/user/", "auth/group/", "django_celery_results/taskresult/", "django_celery_results/groupresult/", "furrow/"]
)  # fmt: skip
def test_every_page_works_when_empty(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"/admin/{path}").status_code == 200


def test_hostile_texts_are_escaped_everywhere(admin_client: Client, admin_user: User) -> None:
    now = timezone.now()
    job = make(
        State.FAILED,
        kind=EVIL,
        error=EVIL,
        progress_note=EVIL,
        arguments={EVIL: EVIL},
        queue=EVIL[:20],
        submitted_by=admin_user,
    )
    worker = Worker.objects.create(node=EVIL, pid=1, processes=1, queues=[EVIL], lease_until=now + dt.timedelta(minutes=1))
    Attempt.objects.create(
        job=job, number=1, outcome="failed", worker=worker.pk, started_at=now, finished_at=now, error_type=EVIL, error=EVIL,
        traceback=EVIL,
    )  # fmt: skip
    LogLine.objects.create(job=job, attempt=1, at=now, level=20, logger=EVIL, message=EVIL)
    Leader.objects.create(role="dispatcher", holder=EVIL, lease_until=now + dt.timedelta(minutes=1), trouble=EVIL)
    event = Event.objects.create(name=EVIL, job=job.pk, number=1, data={EVIL: EVIL})
    attempt, line = Attempt.objects.get(), LogLine.objects.get()
    for path in (
        "", "furrow/job/", f"furrow/job/{job.pk}/change/", "furrow/attempt/", f"furrow/attempt/{attempt.pk}/change/",
        "furrow/logline/", f"furrow/logline/{line.pk}/change/", "furrow/worker/", f"furrow/worker/{worker.pk}/change/",
        "furrow/leader/", "furrow/leader/dispatcher/change/", f"furrow/job/?q={EVIL}",
        "furrow/event/", f"furrow/event/{event.pk}/change/", f"furrow/event/?name={EVIL}",
        f"furrow/job/?kind={EVIL}&by={EVIL}&batch={EVIL}&state={EVIL}",
    ):  # fmt: skip
        answer = admin_client.get(f"/admin/{path}")
        text = answer.content.decode()
        assert answer.status_code == (400 if "batch=" in path else 200), path  # what cannot be is shown with a note
        assert "<script>alert(1)" not in text, path
        assert ESCAPED in text or "furrow/leader/" not in path, path
    live = json.loads(admin_client.get(f"/admin/furrow/job/{job.pk}/live/").content)
    assert "<script>" not in live["body"] + live["lines"]
    assert ESCAPED in live["lines"]


def test_the_first_page(admin_client: Client) -> None:
    text = admin_client.get("/admin/").content.decode()
    assert "No dispatcher is running" in text
    assert "No worker is running" in text
    now = timezone.now()
    Leader.objects.create(
        role="dispatcher", holder="here:1", term=4, lease_until=now + dt.timedelta(hours=1), trouble="no broker"
    )
    Worker.objects.create(node="w1@here", pid=1, processes=1, lease_until=now + dt.timedelta(hours=1))
    make(State.FAILED, error="odd")
    text = admin_client.get("/admin/").content.decode()
    for part in ("no broker", "w1@here", "odd"):
        assert part in text


def test_pages_load_nothing_from_elsewhere(admin_client: Client) -> None:
    job = make(State.RUNNING)
    for path in ("", "furrow/job/", f"furrow/job/{job.pk}/change/", "furrow/job/submit/", "furrow/job/submit/kinds.typed/"):
        text = admin_client.get(f"/admin/{path}").content.decode()
        assert 'src="http' not in text
        assert 'src="//' not in text
        assert '<link href="http' not in text
