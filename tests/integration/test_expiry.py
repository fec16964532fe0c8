"""``expires`` concerns jobs that never began: those that did are not cancelled by it."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.jobs.actions import snooze
from apps.jobs.api import Job, State, Unique, submit
from apps.jobs.dispatcher.expire import Expire
from apps.jobs.states import Outcome
from tests import kinds
from tests.rows import HOUR, claim, make, settle, state_of

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

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
