"""``expires`` concerns jobs that never began: those that did are not cancelled by it."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone
from furrow import Job, State, Unique, submit
from furrow.actions.jobs import snooze
from furrow.checks import check_kind_queues
from furrow.diagnosis.explain import situation, why
from furrow.diagnosis.unserved import unserved_queues
from furrow.dispatcher.expire import Expire
from furrow.states import Outcome

from tests import kinds
from tests.rows import HOUR, claim, everything_runs, make, settle, state_of

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

AN_HOUR = Unique("{account}", until=HOUR)
#: How a run ends after which the job waits, with the pool process that ran it; and whether it has begun then.
ENDS = [
    (Outcome.FAILED, 7, True),
    (Outcome.SNOOZED, 7, True),
    (Outcome.CRASHED, 7, True),
    (Outcome.LOST, 0, True),
    (Outcome.INTERRUPTED, 7, True),
    (Outcome.INTERRUPTED, 0, False),
]


@pytest.mark.parametrize(("outcome", "pid", "begun"), ENDS)
def test_what_has_begun_does_not_expire_and_what_has_not_does(outcome: Outcome, pid: int, begun: bool) -> None:
    job = make(State.RUNNING, expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert settle(job, State.PENDING, outcome, pid=pid, delay=0.0)
    assert Expire().run_once() == (not begun)
    assert claim(job) == ([job.pk] if begun else [])
    assert state_of(job) == (State.RUNNING if begun else State.CANCELLED)


def test_what_has_begun_may_be_put_off_beyond_its_expiry() -> None:
    begun = make(attempt=1, expires_at=timezone.now() + HOUR)
    fresh = make(expires_at=timezone.now() + HOUR)
    assert snooze([begun.pk, fresh.pk], timezone.now() + 2 * HOUR) == 1
    assert Job.objects.get(run_at__gt=timezone.now()).pk == begun.pk


@pytest.mark.parametrize(("outcome", "pid", "begun"), ENDS)
def test_a_key_until_started_is_kept_by_a_job_that_was_handed_back(outcome: Outcome, pid: int, begun: bool) -> None:
    unique = Unique("{account}", until="started", conflict="replace")
    first = submit(kinds.debounced, {"account": 1, "text": "one"}, unique=unique)
    assert claim(first) == [first.pk]
    settle(first, State.PENDING, outcome, pid=pid, delay=0.0)
    second = submit(kinds.debounced, {"account": 1, "text": "two"}, unique=unique)
    assert second.existed != begun
    assert Job.objects.get(pk=first.pk).arguments["text"] == ("one" if begun else "two")


def test_spans_count_by_the_databases_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    right = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: right - 10 * HOUR)
    spans = submit(kinds.noop, expires=60), submit(kinds.noop, countdown=60), submit(kinds.once, {"account": 1}, unique=AN_HOUR)
    rows = [Job.objects.get(pk=job.pk) for job in spans]
    assert abs((rows[0].expires_at or right) - right - dt.timedelta(minutes=1)) < HOUR / 4
    assert rows[0].expires_at is not None
    assert abs(rows[1].run_at - right - dt.timedelta(minutes=1)) < HOUR / 4
    assert abs((rows[2].unique_expires_at or right) - right - HOUR) < HOUR / 4


def test_a_job_in_a_queue_that_is_not_configured_says_so(admin_client: Client) -> None:
    everything_runs()
    job = make(queue="nowhere")
    reason = why(job, situation(job, timezone.now()), timezone.now())
    assert reason is not None
    assert reason.stuck
    assert "No worker serves queue “nowhere”: FURROW['QUEUES'] does not name it" in reason.text
    assert "FURROW_QUEUES" in reason.remedy
    assert "-Q nowhere" in reason.remedy
    assert unserved_queues() == ["nowhere"]
    assert "No worker serves queue “nowhere”" in admin_client.get("/admin/").content.decode()


def test_the_check_names_a_kind_whose_queue_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_kind_queues() == []
    monkeypatch.setattr(kinds.add, "queue", "nowhere")
    (warning,) = check_kind_queues()
    assert (warning.id, warning.obj) == ("furrow.W003", "kinds.add")
