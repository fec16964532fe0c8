"""What the rescue makes of jobs whose worker is gone: tried again while attempts are left, then failed."""

import datetime as dt

import pytest
from django.utils import timezone
from furrow.dispatcher.rescue import Rescue
from furrow.models import Attempt, Job, Worker
from furrow.models.job import new_id
from furrow.states import State

from tests.rows import HOUR, make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rescue(monkeypatch: pytest.MonkeyPatch) -> Rescue:
    """One that has looked a moment ago."""
    made = Rescue()
    monkeypatch.setattr("furrow.dispatcher.rescue.time.monotonic", lambda: 1000.0)
    made.run_once()
    return made


def worker(lease: dt.timedelta) -> Worker:
    """A worker whose lease ends then."""
    return Worker.objects.create(id=new_id(), node="w@here", pid=1, processes=2, lease_until=timezone.now() + lease)


def test_a_lost_run_counts_and_is_tried_again_until_no_attempt_is_left(rescue: Rescue) -> None:
    dead = worker(-HOUR)
    first = make(State.RUNNING, worker=dead.pk, max_attempts=2)
    last = make(State.RUNNING, worker=dead.pk, max_attempts=2, attempt=2)
    excused = make(State.RUNNING, worker=dead.pk, max_attempts=2, attempt=2, excused=1)
    assert rescue.run_once() == 3
    states = dict(Job.objects.values_list("pk", "state"))
    assert states == {first.pk: "pending", last.pk: "failed", excused.pk: "pending"}
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"lost"}
    assert Worker.objects.get().lost


def test_who_lives_keeps_its_jobs(rescue: Rescue) -> None:
    job = make(State.RUNNING, worker=worker(HOUR).pk)
    assert rescue.run_once() == 0
    assert Job.objects.get(pk=job.pk).state == State.RUNNING
