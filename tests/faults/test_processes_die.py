"""Kill, freeze and stop Furrow's processes while jobs run; then count every table."""

import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import psutil
import pytest
from django.db import connection
from django.db.models import F
from furrow import Attempt, Job, State, submit, submit_many
from furrow.models import Trouble, Worker

from tests import kinds
from tests.stack import Process, Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


def runs(mark: Path) -> Counter[str]:
    """How often each job began, by the handler's own record."""
    return Counter(line.split()[0] for line in mark.read_text().splitlines() if line.endswith("began"))


def pool_process_of(worker: Process) -> psutil.Process:
    """A pool process of this worker."""
    return worker.children()[0]


def forgotten_by_postgresql(name: str) -> None:
    """Wait until a process that was killed (its ``PGAPPNAME``) has no session left: what it had sent may be committed yet."""
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with connection.cursor() as cursor:
        wait_until(lambda: cursor.execute(sessions, [name]).fetchone() == (0,), what=f"no session of {name} is left")


@pytest.mark.dialect
def test_a_killed_worker_loses_nothing_and_only_running_jobs_run_twice(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    first = bare.worker("first", PGAPPNAME="first")
    ids = submit_many(kinds.sleeps, [{"seconds": 0.15, "mark": str(mark)} for _ in range(60)])
    wait_until(lambda: mark.exists() and len(runs(mark)) >= 10)
    first.kill()
    if connection.vendor == "postgresql":
        forgotten_by_postgresql("first")
    running = set(Job.objects.filter(state=State.RUNNING).values_list("pk", flat=True))
    bare.worker("second")
    all_ended()
    assert set(Job.objects.filter(state=State.SUCCEEDED).values_list("pk", flat=True)) == set(ids)
    twice = {uuid.UUID(id) for id, times in runs(mark).items() if times > 1}
    assert twice <= running
    assert max(runs(mark).values()) <= 2
    # The row says which runs were cut off, and each job was settled once.
    lost = Attempt.objects.filter(outcome="lost")
    assert {attempt.job_id for attempt in lost} == running
    assert Attempt.objects.filter(outcome="succeeded").count() == len(ids)
    assert Worker.objects.filter(lost=True).count() >= 1


def test_a_killed_pool_process_reruns_only_what_it_ran(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    worker = bare.worker(processes=1)
    # Short jobs, so that many are claimed ahead; then one long one that is killed.
    submit_many(kinds.noop, [{"n": n} for n in range(300)])
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() == 300)
    victim = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(killed := tmp_path / "killed")})
    ids = submit_many(kinds.noop, [{"n": n} for n in range(200)])
    wait_until(lambda: mark.exists())
    pool_process_of(worker).kill()
    killed.touch()
    all_ended()
    assert set(Job.objects.filter(pk__in=ids).values_list("state", "attempt")) == {("succeeded", 1)}
    assert list(victim.attempts.order_by("number").values_list("outcome", flat=True)) == ["crashed", "succeeded"]
    assert Attempt.objects.exclude(outcome="succeeded").count() == 1
    assert "cannot take jobs" not in worker.text


@pytest.mark.thorough
def test_a_process_killed_among_hundreds_claimed_ahead_reruns_one_job_and_loses_no_result(bare: Stack, tmp_path: Path) -> None:
    mark, kills = tmp_path / "mark", 3
    bare.dispatcher()
    worker = bare.worker(processes=2)
    ids = submit_many(kinds.marks, [{"mark": str(mark), "n": n} for n in range(6_000)])

    def hundreds_ahead() -> bool:
        return Job.objects.filter(state=State.RUNNING).count() >= 100

    for _ in range(kills):
        wait_until(hundreds_ahead)
        pool_process_of(worker).kill()
    all_ended()
    assert dict(Job.objects.filter(state=State.SUCCEEDED).values_list("pk", "result")) == {id: n for n, id in enumerate(ids)}
    # Only what was running ran again: one job a kill at most, and its row says why. It may only have been in its hand.
    lost = {str(id): outcome for id, outcome in Attempt.objects.exclude(outcome="succeeded").values_list("job", "outcome")}
    twice = {id for id, times in runs(mark).items() if times > 1}
    assert twice <= {id for id, outcome in lost.items() if outcome == "crashed"}
    assert set(lost.values()) <= {"crashed", "interrupted"}
    assert len(lost) <= kills
    assert Attempt.objects.filter(outcome="succeeded").count() == len(ids)


def test_sigterm_waits_for_short_jobs_and_hands_long_ones_back_uncounted(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    worker = bare.worker("leaving", processes=2, FURROW_SHUTDOWN_GRACE="4")
    short = submit(kinds.sleeps, {"seconds": 0.8, "mark": str(mark)})
    long = submit(kinds.sleeps, {"seconds": 30, "mark": str(mark)})
    wait_until(lambda: mark.exists() and len(runs(mark)) == 2)
    rest = submit_many(kinds.add, [{"a": n} for n in range(30)])
    assert worker.stop() == 0
    short.refresh_from_db()
    long.refresh_from_db()
    assert (short.state, short.attempt) == (State.SUCCEEDED, 1)
    assert long.state in (State.PENDING, State.QUEUED)
    assert long.counted_attempts == 0
    assert list(long.attempts.values_list("outcome", flat=True)) == ["interrupted"]
    assert not Worker.objects.filter(node="leaving@test", stopped_at__isnull=True).exists()
    assert not Job.objects.filter(state=State.RUNNING).exists()
    Job.objects.filter(pk=long.pk).delete()
    bare.worker("next")
    all_ended()
    assert set(Job.objects.filter(pk__in=rest).values_list("state", flat=True)) == {"succeeded"}
    assert not Job.objects.filter(pk__in=rest, attempt__gt=2).exists()


@pytest.mark.dialect
def test_a_killed_dispatcher_is_followed_by_the_one_that_stands_by(bare: Stack) -> None:
    leader = bare.dispatcher("one")
    wait_until(lambda: "This dispatcher leads" in leader.text)
    standby = bare.dispatcher("two")
    wait_until(lambda: "Standing by" in standby.text)
    bare.worker()
    submit_many(kinds.add, [{"a": n} for n in range(500)])
    leader.kill()
    wait_until(lambda: "This dispatcher leads" in standby.text)
    later = submit(kinds.add, {"a": 1})
    all_ended()
    assert Job.objects.filter(state=State.SUCCEEDED, attempt=F("excused") + 1).count() == 501
    assert Job.objects.get(pk=later.pk).result == 2


@pytest.mark.thorough
def test_a_dispatcher_that_ends_in_order_lets_the_next_lead_at_once(bare: Stack) -> None:
    first = bare.dispatcher("one", FURROW_LEADER_LEASE="3600")
    wait_until(lambda: "This dispatcher leads" in first.text)
    assert first.stop() == 0
    second = bare.dispatcher("two")
    wait_until(lambda: "This dispatcher leads" in second.text)


@pytest.mark.thorough
def test_a_process_dies_between_two_jobs_with_the_next_one_in_its_hand(bare: Stack, tmp_path: Path) -> None:
    """The one that had ended is blamed, since nobody was told; the one in its hand goes back, uncounted."""
    bare.dispatcher()
    once = tmp_path / "once"
    bare.worker(processes=1, FURROW_MODULES="tasks,tests.kinds,tests.dies_in_hand", FURROW_TEST_ONCE=str(once))
    ids = submit_many(kinds.noop, [{"n": n} for n in range(200)])
    all_ended()
    assert once.exists()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 200
    assert Attempt.objects.filter(outcome="crashed").count() == 1
    assert Attempt.objects.filter(outcome="interrupted", error="its pool process died before it began").count() == 1
    assert not Attempt.objects.exclude(outcome__in=["succeeded", "crashed", "interrupted"]).exists()


@pytest.mark.thorough
def test_sigkill_of_a_process_that_holds_a_job_it_has_not_begun(bare: Stack) -> None:
    """All pool processes are killed again and again under load of short jobs: nothing is lost, and nothing hangs."""
    bare.dispatcher()
    worker = bare.worker(processes=2)
    ids = submit_many(kinds.noop, [{"n": n} for n in range(4000)])
    for threshold in (300, 1200, 2400):
        wait_until(partial(lambda threshold: Job.objects.filter(state=State.SUCCEEDED).count() >= threshold, threshold))
        for process in worker.children():
            process.kill()
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 4000
    counts = Counter(Attempt.objects.values_list("outcome", flat=True))
    assert counts["succeeded"] == 4000
    assert sum(counts.values()) - 4000 <= 3 * 2 + 3 * 2


def test_a_worker_that_may_start_no_process_goes_on_with_those_it_has(bare: Stack, tmp_path: Path) -> None:
    refuse = tmp_path / "refuse"
    bare.dispatcher()
    worker = bare.worker(FURROW_MODULES="tasks,tests.kinds,tests.no_fork", FURROW_TEST_NO_FORK=str(refuse))
    refuse.touch()
    pool_process_of(worker).kill()
    wait_until(lambda: len(worker.children()) == 1)
    ids = submit_many(kinds.noop, [{"n": n} for n in range(100)])
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 100
    wait_until(lambda: Trouble.objects.filter(name="start of a pool process").exists(), what="the trouble is named")
    assert len(worker.children()) == 1
    refuse.unlink()
    wait_until(lambda: len(worker.children()) == 2, what="it is at full strength again")
    assert "Connection to broker lost" not in worker.text
