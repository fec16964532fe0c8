"""Clocks that are wrong and jump: leases, due times and retries go by the database's clock and by monotonic ones.

On PostgreSQL only: SQLite has no clock of its own, and all its processes share one machine's.
"""

import datetime as dt
from typing import Any

from django.utils import timezone
from furrow import Attempt, Job, State, submit, submit_many
from furrow.models import Worker

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

DAY = 86_400


def test_a_worker_whose_clock_jumps_by_days_loses_nothing(bare: Stack) -> None:
    bare.dispatcher(FURROW_MODULES="tasks,tests.kinds,tests.clock", FURROW_TEST_CLOCK=str(DAY))
    wrong = bare.worker("wrong", FURROW_MODULES="tasks,tests.kinds,tests.clock", FURROW_TEST_CLOCK=str(DAY))
    began = timezone.now()
    ids = submit_many(kinds.sleeps, [{"seconds": 0.05} for _ in range(60)])
    again = submit(kinds.succeeds_on, {"attempt": 3})
    later = submit(kinds.add, {"a": 1}, countdown=600)
    all_but_later = Job.objects.exclude(pk=later.pk)
    wait_until(lambda: all_but_later.exclude(state=State.SUCCEEDED).count() == 0, what="all but the later one")
    assert {job.counted_attempts for job in Job.objects.filter(pk__in=ids)} == {1}
    assert Job.objects.get(pk=again.pk).counted_attempts == 3
    assert not Attempt.objects.filter(outcome="lost").exists()
    assert Job.objects.get(pk=later.pk).state == State.PENDING
    assert "lease is lost" not in wrong.text
    assert not Worker.objects.filter(node="wrong@test", lost=True).exists()
    # What is kept for people is not days off either.
    job: Any
    for job in all_but_later:
        assert began - dt.timedelta(minutes=1) < job.started_at <= job.finished_at
    Job.objects.filter(pk=later.pk).update(run_at=began)
    all_ended()
