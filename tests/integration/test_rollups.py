"""What is counted is what happened: exactly that which was settled, once, whatever is rolled, fenced off or killed."""

import datetime as dt
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from furrow import statements, submit_many
from furrow.actions.jobs import cancel
from furrow.conf import conf
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.roll import Roll
from furrow.models import Attempt, ErrorCount, ErrorGroup, Job, Rollup
from furrow.models.job import new_id
from furrow.statements import Settlement
from furrow.statements.rollups import BOUNDS, GRAINS, TIMELESS, WAIT
from furrow.states import Outcome, State

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine

WORKER = new_id()


def running(**columns: Any) -> Job:
    """A job that began a second after it was due."""
    now = timezone.now()
    given = {"run_at": now - dt.timedelta(seconds=61), "started_at": now - dt.timedelta(seconds=60), "attempt": 1}
    return Job.objects.create(**{"kind": "kinds.add", "state": State.RUNNING, "worker": WORKER, **given, **columns})


def settlement(job: Job, state: State = State.SUCCEEDED, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Settlement:
    return Settlement(**{"id": str(job.pk), "attempt": 1, "state": state, "outcome": outcome, "pid": 4711, **fields})


def settle(*settlements: Settlement) -> None:
    with transaction.atomic():
        statements.on(connection).settle(connection, list(settlements))


def counts() -> Counter[str]:
    """Measure → how often."""
    return Counter(dict(Rollup.objects.values_list("measure").annotate(Sum("count"))))


def bucket_of(seconds: float) -> int:
    return sum(bound <= seconds for bound in BOUNDS)


@pytest.mark.django_db
def test_each_run_is_counted_as_what_became_of_its_job() -> None:
    failed = {"error_type": "ValueError", "error": "ValueError: no 1", "fingerprint": "s1"}
    settle(
        settlement(running()),
        settlement(running(queue="mail")),
        settlement(running(), State.FAILED, Outcome.FAILED, **failed),
        settlement(running(), State.PENDING, Outcome.FAILED, delay=5.0, **failed),
        settlement(running(), State.PENDING, Outcome.SNOOZED, delay=5.0),
        settlement(running(), State.PENDING, Outcome.INTERRUPTED, delay=0.0, pid=0),
        settlement(running(cancel_requested_at=timezone.now()), State.PENDING, Outcome.FAILED, delay=5.0, **failed),
        settlement(running(kind="kinds.noop"), State.FAILED, Outcome.LOST, pid=0, fingerprint="s2"),
    )
    assert counts() == {"succeeded": 2, "failed": 2, "retried": 1, "excused": 2, "cancelled": 1, WAIT: 3}
    assert set(Rollup.objects.values_list("worker", flat=True)) == {WORKER}
    assert set(Rollup.objects.filter(measure="succeeded").values_list("queue", "count")) == {("default", 1), ("mail", 1)}
    waits = Rollup.objects.filter(measure=WAIT).values_list("bucket", flat=True)
    assert set(waits) == {bucket_of(1.0)}
    assert set(Rollup.objects.filter(measure="succeeded").values_list("bucket", flat=True)) == {bucket_of(60.5)}
    assert Rollup.objects.get(kind="kinds.noop").bucket == TIMELESS
    assert set(ErrorGroup.objects.values_list("kind", "fingerprint", "error_type", "message")) == {
        ("kinds.add", "s1", "ValueError", "ValueError: no 1"),
        ("kinds.noop", "s2", "", ""),
    }
    assert set(ErrorCount.objects.values_list("fingerprint", "runs", "jobs")) == {("s1", 3, 1), ("s2", 1, 1)}
    assert set(Job.objects.filter(state=State.FAILED).values_list("fingerprint", flat=True)) == {"s1", "s2"}


@pytest.mark.django_db
def test_a_stale_or_second_settlement_is_not_counted() -> None:
    job = running()
    settle(settlement(job, attempt=2), settlement(running(), pid=0))
    settle(settlement(job))
    settle(settlement(job, State.FAILED, Outcome.FAILED, fingerprint="s"))
    assert counts() == {"succeeded": 2, WAIT: 1}
    assert not ErrorGroup.objects.exists()


@pytest.mark.django_db
def test_what_ends_before_it_begins_is_counted() -> None:
    late = {"run_at": timezone.now(), "expires_at": timezone.now() - dt.timedelta(seconds=1)}
    jobs = [Job.objects.create(kind="kinds.add") for _ in range(3)]
    Job.objects.create(kind="kinds.noop", queue="mail", **late)
    assert cancel([job.pk for job in jobs[:2]]) == 2
    assert cancel([job.pk for job in jobs[:2]]) == 0
    assert Expire().run_once() == 1
    assert Expire().run_once() == 0
    assert set(Rollup.objects.values_list("kind", "queue", "worker", "measure", "bucket", "count")) == {
        ("kinds.add", "default", uuid.UUID(int=0), "cancelled", TIMELESS, 2),
        ("kinds.noop", "mail", uuid.UUID(int=0), "cancelled", TIMELESS, 1),
    }


@pytest.mark.django_db
def test_rolling_keeps_the_sums_and_forgets_old_errors() -> None:
    settle(*[settlement(running()) for _ in range(5)], settlement(running(), State.FAILED, Outcome.FAILED, fingerprint="s"))
    before, now = counts(), time.time()
    total = Rollup.objects.aggregate(Sum("total"))["total__sum"]
    for ago, seconds in [(0, 5), (300, 60), (3 * 3600, 600), (3 * 86400, 3600), (50 * 86400, 0)]:
        Rollup.objects.update(at=now - ago)
        ErrorCount.objects.update(at=now - min(ago, conf().keep_failed - 3600))
        Roll().run_once()
        assert set(Rollup.objects.values_list("seconds", flat=True)) == {seconds}
        assert counts() == before
        assert Rollup.objects.aggregate(Sum("total"))["total__sum"] == pytest.approx(total)
        assert ErrorCount.objects.aggregate(Sum("runs"), Sum("jobs")) == {"runs__sum": 1, "jobs__sum": 1}
    assert set(Rollup.objects.values_list("worker", "writer")) == {(uuid.UUID(int=0), 0)}
    old = int(now - conf().keep_failed) - 7200
    ErrorCount.objects.update(at=old)
    Roll().run_once()
    assert not ErrorCount.objects.exists()
    assert not ErrorGroup.objects.exists()
    assert counts() == before


@pytest.mark.django_db
def test_what_comes_late_is_added_to_what_was_rolled() -> None:
    for _ in range(2):
        settle(settlement(running()))
        Rollup.objects.filter(seconds=5).update(at=int(time.time() - 3600) // 60 * 60)
        Roll().run_once()
    assert Rollup.objects.filter(measure="succeeded").values_list("seconds", "count").get() == (60, 2)
    assert GRAINS[0].into == 60


@pytest.mark.thorough
@pytest.mark.timeout(240)
def test_the_sums_are_what_happened_though_a_worker_is_killed(bare: Stack, tmp_path: Path) -> None:
    """Every recorded attempt is counted once: of two workers, one of which is killed amid its work, and of the rescue."""
    bare.dispatcher()
    killed = bare.worker("killed")
    submit_many(kinds.noop, [{"n": n} for n in range(1500)])
    submit_many(kinds.fails, [{"message": f"no {n}"} for n in range(40)])
    submit_many(kinds.sleeps, [{"seconds": 0, "until": str(gone := tmp_path / "gone")} for _ in range(4)])
    wait_until(lambda: Attempt.objects.count() > 100, what="it works")
    wait_until(lambda: Job.objects.filter(kind="kinds.sleeps", state=State.RUNNING).exists(), what="a long one runs")
    killed.kill()
    bare.expire(killed)
    gone.touch()
    bare.worker("heir")
    all_ended()
    told, happened = counts(), Counter(Attempt.objects.values_list("outcome", flat=True))
    assert sum(told.values()) - told[WAIT] == Attempt.objects.count()
    assert told["succeeded"] == happened[Outcome.SUCCEEDED] == 1504
    assert told["failed"] == 40
    assert happened[Outcome.LOST] > 0
    assert told["failed"] + told["retried"] == happened[Outcome.FAILED] + happened[Outcome.LOST]
    (group,) = ErrorGroup.objects.filter(error_type="ValueError")
    assert ErrorCount.objects.filter(fingerprint=group.fingerprint).aggregate(Sum("runs"), Sum("jobs")) == {
        "runs__sum": happened[Outcome.FAILED],
        "jobs__sum": 40,
    }
    assert Job.objects.filter(state=State.FAILED, fingerprint=group.fingerprint).count() == 40
