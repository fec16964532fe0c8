"""What a handler may do to its pool process: children, signals, timeouts. The jobs beside it notice nothing."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import Group
from furrow import Attempt, Job, State, cancel, submit, submit_many
from furrow.states import Outcome

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


def ended(kind: Any, **arguments: Any) -> Job:
    """Submit a job, and wait for its end."""
    job = submit(kind, arguments)
    all_ended(30)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize(("then", "code"), [("returns", 0), ("exits", 7), ("raises", 1)])
def test_a_forked_child_that_leaves_the_handler_ends_and_settles_nothing(
    stack: Stack, tmp_path: Path, then: str, code: int
) -> None:
    job = ended(kinds.starts_children, how="fork", then=then, mark=str(tmp_path / "mark"))
    assert (job.state, job.result) == (State.SUCCEEDED, code)
    assert job.attempts.get().outcome == Outcome.SUCCEEDED
    assert {ended(kinds.add, a=n).result for n in range(3)} == {1, 2, 3}


@pytest.mark.parametrize("how", ["multiprocessing", "spawn"])
def test_multiprocessing_works_and_its_children_have_connections_of_their_own(stack: Stack, tmp_path: Path, how: str) -> None:
    job = ended(kinds.starts_children, how=how, mark=str(tmp_path / "mark"))
    assert (job.state, job.error, job.result) == (State.SUCCEEDED, "", 0)
    assert (tmp_path / "mark").exists()


def test_a_handler_can_terminate_its_child(stack: Stack) -> None:
    job = ended(kinds.starts_children, how="terminate")
    assert (job.error, job.result) == ("", -signal.SIGTERM)


def test_what_a_run_started_is_killed_with_it(stack: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = submit(kinds.starts_children, {"how": "shell", "mark": str(mark)})
    wait_until(lambda: mark.exists() and len(mark.read_text().split()) == 3)
    children = [psutil.Process(int(pid)) for pid in mark.read_text().split()]
    all_ended(30)
    assert Attempt.objects.get(job=job).outcome == Outcome.TIMED_OUT
    wait_until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))


@pytest.mark.parametrize("then", ["returns", "alarms", "own handler"])
def test_a_generator_runs_within_its_soft_timeout_and_alarms_are_its_own(stack: Stack, then: str) -> None:
    slow, quick = ended(kinds.yields, seconds=0, then=then), ended(kinds.yields, seconds=60)
    assert (slow.result, quick.error) == ([1, 2], "SoftTimeout: the soft timeout passed")
    assert quick.attempts.get().outcome == Outcome.TIMED_OUT
    assert ended(kinds.sleeps, seconds=1.2).state == State.SUCCEEDED


@pytest.mark.parametrize("how", ["sleeps", "task group", "spins"])
def test_an_async_handler_meets_its_soft_timeout_by_name(stack: Stack, how: str) -> None:
    job = ended(kinds.waits_for_its_soft_timeout, how=how)
    assert (job.error, job.result) == ("", "SoftTimeout")


def test_a_cancelled_async_job_is_cancelled(stack: Stack) -> None:
    job = submit(kinds.asynchronous, {"seconds": 60})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    cancel(job.pk)
    all_ended(30)
    assert Attempt.objects.get(job=job).outcome == Outcome.CANCELLED


@pytest.mark.parametrize("way", ["", "_async"])
@pytest.mark.parametrize("leave", ["settings", "an open transaction", "a wrapper", "another database"])
def test_no_job_meets_the_database_session_of_another(stack: Stack, leave: str, way: str) -> None:
    sets, reads = getattr(kinds, f"sets_in_its_session{way}"), getattr(kinds, f"reads_its_session{way}")
    untouched = ended(reads).result
    jobs = [submit(kind, {"leave": leave} if kind is sets else {}) for _ in range(6) for kind in (sets, reads)]
    all_ended(30)
    assert {Job.objects.get(pk=job.pk).result for job in jobs[1::2]} == {untouched}
    assert not Group.objects.filter(name="never committed").exists()
    left = [Job.objects.get(pk=job.pk) for job in jobs[::2]]
    assert {job.state for job in left} == {State.SUCCEEDED}
    assert all(job.log_lines.exists() is (leave == "an open transaction") for job in left)


def test_a_signal_to_all_processes_of_a_worker_hands_its_jobs_back(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker(FURROW_SHUTDOWN_GRACE="1", processes=3)
    long = submit(kinds.sleeps, {"seconds": 60, "mark": str(tmp_path / "long")})
    short = submit(kinds.sleeps, {"seconds": 0, "mark": str(tmp_path / "short"), "until": str(tmp_path / "go")})
    wait_until(lambda: (tmp_path / "long").exists() and (tmp_path / "short").exists())
    os.killpg(worker.popen.pid, signal.SIGTERM)
    (tmp_path / "go").touch()
    assert worker.wait(30) == 0
    assert (Attempt.objects.get(job=long).outcome, Attempt.objects.get(job=short).outcome) == (
        Outcome.INTERRUPTED,
        Outcome.SUCCEEDED,
    )


def large(count: int) -> list[Any]:
    """Jobs whose arguments do not go through a socket at once."""
    return submit_many(kinds.keeps, [{"word": "w", "text": "x" * 900_000} for _ in range(count)])


def test_a_run_that_leaves_its_process_unusable_is_settled_and_the_process_replaced(stack: Stack) -> None:
    job = ended(kinds.leaves, what="environment")
    assert (job.state, job.result) == (State.SUCCEEDED, "left")
    assert {ended(kinds.add, a=n).state for n in range(3)} == {State.SUCCEEDED}


def test_a_job_that_its_process_cannot_unpack_goes_back_uncounted(stack: Stack, tmp_path: Path) -> None:
    until, mark = tmp_path / "until", tmp_path / "mark"
    processes = {child.pid for child in stack.worker_process.children()}
    assert ended(kinds.leaves, what="descriptors", until=str(until), mark=str(mark)).result == "left"
    until.touch()
    wait_until(mark.exists)
    ids = large(20)
    all_ended(60)
    jobs = Job.objects.filter(pk__in=ids)
    assert set(jobs.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert {job.counted_attempts for job in jobs} == {1}
    outcomes = set(Attempt.objects.filter(job__in=ids).values_list("outcome", flat=True))
    assert outcomes <= {Outcome.SUCCEEDED, Outcome.INTERRUPTED}
    wait_until(lambda: {child.pid for child in stack.worker_process.children()} - processes, what="one is replaced")


def test_exceptions_that_arrive_at_any_place_keep_no_job_running(stack: Stack, tmp_path: Path) -> None:
    until, mark = tmp_path / "until", tmp_path / "mark"
    assert ended(kinds.leaves, what="exceptions", until=str(until), mark=str(mark)).result == "left"
    until.touch()
    wait_until(mark.exists)
    ids = large(20) + submit_many(kinds.noop, [{"n": n} for n in range(100)])
    all_ended(60)
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() >= 100
