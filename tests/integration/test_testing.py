"""``furrow.testing``: jobs run in the test's process and transaction, as dispatcher and worker would run them."""

import datetime as dt
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone
from furrow import (
    Job,
    JobFailed,
    LockError,
    LockUnavailable,
    NotAcquired,
    State,
    lock,
    rate_limit,
    semaphore,
    submit,
    submit_many,
)
from furrow.errors import UnknownQueue
from furrow.locks import keeper, line
from furrow.models import Hold, Leader, LogLine, Queue
from furrow.states import Outcome
from furrow.testing import DispatcherRuns, Drained, advance, drain, local_locks, travel
from pytest_django import Settings

from tests import kinds
from tests.rows import everything_runs, make

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
MINUTE = dt.timedelta(minutes=1)


def test_a_drained_job_has_the_rows_of_a_job_that_a_worker_ran() -> None:
    job = submit(kinds.add, {"a": 3, "b": 4})
    result = drain()
    assert result == Drained(succeeded=1, jobs=(job.pk,))
    job.refresh_from_db()
    assert (job.state, job.result, job.attempt) == (State.SUCCEEDED, 7, 1)
    assert None not in (job.queued_at, job.started_at, job.finished_at, job.worker)
    attempt = job.attempts.get()
    assert (attempt.outcome, attempt.number, attempt.worker) == (Outcome.SUCCEEDED, 1, job.worker)
    assert attempt.pid
    assert drain() == Drained()
    assert not Leader.objects.exists()


def test_log_lines_and_progress_are_recorded_and_the_loggers_are_as_before() -> None:
    root = logging.getLogger()
    before = [root.level, root.handlers[:], [handler.filters[:] for handler in root.handlers]]
    job = submit(kinds.tells)
    drain()
    lines = list(LogLine.objects.filter(job=job).values_list("logger", "message"))
    assert lines == [("tests.kinds", "a line of logging"), ("", "a line of its own")]
    job.refresh_from_db()
    assert (job.progress, job.progress_note) == (0.5, "half")
    assert [root.level, root.handlers, [handler.filters for handler in root.handlers]] == before


def test_jobs_run_by_priority_and_time_and_so_do_those_that_they_submit() -> None:
    later = submit(kinds.noop, {"n": 1})
    first = submit(kinds.noop, {"n": 2}, priority=0)
    submit(kinds.submits, {"kind": "kinds.submits", "depth": 2}, priority=9)
    result = drain()
    assert result.jobs[:2] == (first.pk, later.pk)
    assert result.succeeded == result.runs == 5
    assert set(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED}


def test_what_a_handler_raises_is_raised_with_the_name_of_its_job_once_it_is_recorded() -> None:
    job = submit(kinds.fails, {"message": "broken"})
    with pytest.raises(ValueError, match="broken") as raised:
        drain()
    assert str(job.pk) in raised.value.__notes__[0]
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.PENDING, 1)


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [("kinds.fails_with", {"error": "SystemExit"}, "SystemExit: 3"), ("kinds.nobody", {}, "There is no kind")],
)
def test_what_is_no_exception_of_a_handler_is_told_too(kind: str, arguments: dict[str, str], text: str) -> None:
    make(kind=kind, arguments=arguments)
    with pytest.raises(JobFailed, match=text):
        drain()


def test_retries_come_when_their_time_has_come() -> None:
    job = submit(kinds.succeeds_on, {"attempt": 3})
    assert drain(raise_on_failure=False) == Drained(retried=1, jobs=(job.pk,))
    result = drain(with_scheduled=True, raise_on_failure=False)
    assert (result.retried, result.succeeded) == (1, 1)
    assert list(job.attempts.values_list("number", "outcome")) == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    failing = submit(kinds.fails)
    assert drain(with_scheduled=True, raise_on_failure=False).failed == 1
    failing.refresh_from_db()
    assert (failing.state, failing.error) == (State.FAILED, "ValueError: as asked")
    snoozing = submit(kinds.snoozes, {"times": 2})
    assert drain().snoozed == 1
    assert drain(until=MINUTE) == Drained(snoozed=1, succeeded=1, jobs=(snoozing.pk,) * 2)


def test_time_passes_for_what_is_due_what_expires_and_what_is_unique_for_a_time() -> None:
    due = submit(kinds.noop, countdown=60)
    late = submit(kinds.noop, countdown=3600, expires=60)
    assert drain().runs == 0
    advance(61)
    assert drain().jobs == (due.pk,)
    travel(timezone.now() + dt.timedelta(hours=2))
    assert drain().runs == 0
    late.refresh_from_db()
    assert (late.state, late.error) == (State.CANCELLED, "expired: it had not begun by its expires_at")
    with pytest.raises(ValueError, match="does not go back"):
        advance(-1)
    assert drain(until=timezone.now() + MINUTE).runs == 0


def test_until_runs_each_job_when_it_is_its_time_and_no_later_one() -> None:
    jobs = [submit(kinds.noop, {"n": n}, countdown=60 * n) for n in (3, 1, 2)]
    assert drain(until=dt.timedelta(seconds=125)).jobs == (jobs[1].pk, jobs[2].pk)
    assert drain(with_scheduled=True).jobs == (jobs[0].pk,)


def test_limits_hold_as_far_as_one_process_can_break_them(tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    rated = [submit(kinds.rated, {"path": path}) for _ in range(3)]
    assert drain().jobs == (rated[0].pk, rated[1].pk)
    assert Job.objects.get(pk=rated[2].pk).held
    assert drain(until=MINUTE).jobs == (rated[2].pk,)
    ordered = [submit(kinds.in_order, {"customer": 1, "n": n, "path": path, "fails": 1 - n}) for n in (0, 1)]
    assert drain(raise_on_failure=False).jobs == (ordered[0].pk,)
    assert drain(with_scheduled=True).jobs == tuple(job.pk for job in ordered)
    locked = [submit(kinds.locked, {"account": 1, "path": path}) for _ in range(2)]
    assert drain().jobs == tuple(job.pk for job in locked)
    assert not Hold.objects.filter(free_at=None).exists()


def test_tenants_take_turns() -> None:
    many = submit_many(kinds.shared, [{"tenant": "many", "n": n} for n in range(3)])
    few = submit(kinds.shared, {"tenant": "few"})
    order = drain().jobs
    assert order.index(few.pk) < 2
    assert [id for id in order if id != few.pk] == many


def test_only_one_queue_or_kind() -> None:
    add, other = submit(kinds.add, {"a": 1}), submit(kinds.noop, queue="other")
    assert drain(kind="kinds.noop", queue="default").runs == 0
    assert drain("other").jobs == (other.pk,)
    assert drain(kind=kinds.add).jobs == (add.pk,)
    with pytest.raises(UnknownQueue, match="'oter' is no queue; did you mean 'other'"):
        drain("oter")


def test_a_paused_queue_is_left_alone() -> None:
    Queue.objects.create(name="other", paused_at=timezone.now())
    submit(kinds.noop, queue="other")
    assert drain().runs == 0


def test_an_error_of_the_database_ends_with_its_run() -> None:
    submit(kinds.breaks_its_transaction, {"name": "twice"})
    assert drain(raise_on_failure=False).failed == 1
    assert "IntegrityError" in Job.objects.get().error
    assert Group.objects.count() == 0


def test_a_transactional_kind_writes_all_or_nothing() -> None:
    submit(kinds.writes, {"name": "kept"})
    assert drain().succeeded == 1
    job = submit(kinds.writes, {"name": "twice", "then": "raises"})
    assert drain(raise_on_failure=False).retried == 1
    assert list(Group.objects.values_list("name", flat=True)) == ["kept"]
    assert drain(with_scheduled=True).jobs == (job.pk,)
    assert Group.objects.count() == 2


@pytest.mark.parametrize(("then", "outcome"), [("", "succeeded"), ("fail", "failed")])
def test_what_a_job_does_on_commit_is_done(then: str, outcome: str) -> None:
    submit(kinds.calls_on_commit, {"name": "later", "then": then})
    assert getattr(drain(raise_on_failure=False), outcome) == 1
    assert Group.objects.filter(name="later").exists()


def test_async_handlers_see_the_tests_transaction() -> None:
    Group.objects.create(name="uncommitted")
    job = submit(kinds.counts_groups)
    drain()
    job.refresh_from_db()
    assert job.result == 1


def test_drain_works_in_async_tests() -> None:
    async def test() -> Drained:
        await sync_to_async(submit)(kinds.counts_groups)
        return await sync_to_async(drain)()

    assert async_to_sync(test)().succeeded == 1


def test_jobs_that_submit_each_other_for_ever_are_told() -> None:
    submit(kinds.submits, {"kind": "kinds.submits", "depth": 30})
    with pytest.raises(AssertionError, match=r"drain\(\) ran 5 jobs and more are due; one is kinds.submits"):
        drain(limit=5)


def test_what_others_run_is_not_drained() -> None:
    submit(kinds.drains)
    with pytest.raises(RuntimeError, match="called by a job that a drain runs"):
        drain()
    everything_runs()
    with pytest.raises(DispatcherRuns, match=r"A dispatcher \(here:1\) leads on this database"):
        drain()


def test_locks_in_code_need_redis_or_are_those_of_the_process(settings: Settings, tmp_path: Path) -> None:
    settings.FURROW = {name: value for name, value in settings.FURROW.items() if name != "REDIS_URL"}
    submit(kinds.holds, {"name": "a", "mark": str(tmp_path / "mark"), "how": "forgets"})
    with pytest.raises(LockUnavailable, match="REDIS_URL") as refused:
        drain()
    assert "local_locks" in refused.value.__notes__[1]
    with local_locks(), lock("b") as mine:
        assert drain(with_scheduled=True).succeeded == 1
        with lock("a", timeout=0) as held, rate_limit("bank", "1/h"), rate_limit("bank", "1/h"):
            assert held.is_held()
            assert held.token > mine.token
        with pytest.raises(LockError, match="held here already"):
            lock("b").acquire()
    assert not hasattr(line.take, "__self__")


def test_what_a_job_forgets_to_give_back_is_given_back(tmp_path: Path) -> None:
    submit_many(kinds.holds, [{"name": "forgotten", "mark": str(tmp_path / "mark"), "how": "forgets"}] * 2)
    with local_locks() if connection.vendor == "sqlite" else nullcontext():
        assert drain().succeeded == 2
    assert not keeper.current().holdings


def test_local_locks_hold_between_threads() -> None:
    with local_locks(), ThreadPoolExecutor() as threads:
        with semaphore("s", 1):
            assert isinstance(threads.submit(lambda: semaphore("s", 1, timeout=0).acquire()).exception(), NotAcquired)
            waits = threads.submit(lambda: semaphore("s", 1, timeout=60).acquire())
        assert waits.result().slot == 0


def test_drain_inside_a_transaction_of_the_code_under_test() -> None:
    with transaction.atomic():
        submit(kinds.writes, {"name": "within"})
        assert drain().succeeded == 1
    assert Group.objects.filter(name="within").exists()


def test_the_tests_own_settings_of_the_session_stay(tmp_path: Path) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's settings")
    submit(kinds.locked, {"account": 1, "path": str(tmp_path / "history")})
    drain()
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("on",)


@pytest.mark.django_db(transaction=True)
def test_drain_without_a_transaction_around_the_test() -> None:
    submit(kinds.writes, {"name": "kept"})
    submit(kinds.calls_on_commit, {"name": "later"})
    submit(kinds.breaks_its_transaction, {"name": "twice"})
    result = drain(raise_on_failure=False)
    assert (result.succeeded, result.failed) == (2, 1)
    assert sorted(Group.objects.values_list("name", flat=True)) == ["kept", "later", "twice"]
    assert not connection.in_atomic_block
