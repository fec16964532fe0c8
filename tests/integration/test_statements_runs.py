"""A worker claims and settles, on both databases: who wins, who is too late, and what is written down."""

import datetime as dt
import json
import time
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from furrow.actions.jobs import cancel, delete
from furrow.models import Attempt, DeadMessage, Job, LogLine, OutputChunk
from furrow.models.job import new_id
from furrow.statements import Chunk, Dead, Group, LogRecord, Progress, Settlement
from furrow.states import Outcome, State

from tests.rows import HOUR, WORKER, claim, make, settle, state_of

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


# --- claim --------------------------------------------------------------------------------------------------------------------


def test_a_claim_leaves_out_what_is_not_due_or_expired_or_gone(sql: Any) -> None:
    future, expired = make(run_at=timezone.now() + HOUR), make(expires_at=timezone.now() - HOUR)
    due, queued = make(), make(State.QUEUED)
    later = make(expires_at=timezone.now() + HOUR)
    gone = Job(pk=new_id())
    assert set(claim(future, expired, due, queued, later, gone)) == {due.pk, queued.pk, later.pk}
    assert (state_of(future), state_of(expired)) == (State.PENDING, State.PENDING)


def test_what_a_claim_returns_and_writes(sql: Any) -> None:
    before: dict[str, Any] = {"error": "x", "progress": 0.5, "progress_note": "n"}
    job = make(State.QUEUED, arguments={"a": "ü"}, attempt=3, excused=1, max_attempts=7, **before)
    with transaction.atomic():
        (claimed,) = sql.claim(connection, WORKER, [str(job.pk)])
    assert (claimed.id, claimed.kind, claimed.attempt, claimed.excused, claimed.max_attempts) == (
        str(job.pk),
        "kinds.add",
        4,
        1,
        7,
    )
    assert json.loads(claimed.arguments) == {"a": "ü"}
    job.refresh_from_db()
    assert (job.attempt, job.worker, job.error, job.progress, job.progress_note) == (4, WORKER, "", None, "")
    assert job.started_at is not None
    assert abs(timezone.now() - job.started_at) < dt.timedelta(seconds=5)


def test_nothing_is_claimed_of_nothing(sql: Any) -> None:
    with transaction.atomic():
        assert sql.claim(connection, WORKER, []) == []
        assert sql.settle(connection, []) == set()
    assert sql.write(connection, WORKER, Group()) == ([], 0, 0)
    assert sql.mark_queued(connection, {}, 1) == 0


# --- settle -------------------------------------------------------------------------------------------------------------------


def test_a_stale_attempt_changes_nothing_and_leaves_no_record() -> None:
    job = make(State.RUNNING, attempt=2)
    before = Job.objects.filter(pk=job.pk).values().get()
    for attempt in (0, 1, 3):
        assert not settle(job, State.FAILED, Outcome.FAILED, attempt=attempt, error="stale", result="1")
    assert Job.objects.filter(pk=job.pk).values().get() == before
    assert Attempt.objects.count() == 0
    assert settle(job, attempt=2)


def test_a_run_is_settled_once() -> None:
    job = make(State.RUNNING)
    assert settle(job, State.SUCCEEDED, result='"first"')
    assert not settle(job, State.FAILED, Outcome.FAILED, error="second")
    job.refresh_from_db()
    assert (job.state, job.result, job.error) == (State.SUCCEEDED, "first", "")
    assert Attempt.objects.get().outcome == Outcome.SUCCEEDED


def test_a_settled_run_and_its_record() -> None:
    job, claimed = make(State.RUNNING), 1_700_000_000.0
    Job.objects.filter(pk=job.pk).update(started_at=dt.datetime.fromtimestamp(claimed, dt.UTC))
    fields: dict[str, Any] = {
        "pid": 7,
        "started": claimed + 0.25,
        "finished": claimed + 1.5,
        "error": "e",
        "error_type": "E",
    }
    assert settle(job, State.FAILED, Outcome.TIMED_OUT, traceback="t", **fields)
    job.refresh_from_db()
    attempt = job.attempts.get()
    assert (job.state, job.error) == (State.FAILED, "e")
    assert (attempt.number, attempt.outcome, attempt.worker, attempt.pid) == (1, "timed out", WORKER, 7)
    assert (attempt.error_type, attempt.error, attempt.traceback, attempt.seconds) == ("E", "e", "t", 1.25)
    assert attempt.started_at == job.started_at == dt.datetime.fromtimestamp(claimed + 0.25, dt.UTC)


@pytest.mark.parametrize("wrong", [-86_400.0, 86_400.0])
def test_a_workers_wrong_clock_counts_only_between_the_claim_and_now(wrong: float) -> None:
    job = make(State.RUNNING)
    claimed = job.started_at
    assert claimed is not None
    started = claimed.timestamp() + wrong
    assert settle(job, State.FAILED, Outcome.FAILED, started=started, finished=started + 1)
    job.refresh_from_db()
    attempt = job.attempts.get()
    assert attempt.finished_at is not None
    assert job.started_at is not None
    assert claimed <= attempt.started_at == job.started_at <= attempt.finished_at <= timezone.now() + dt.timedelta(seconds=5)


def test_without_times_of_its_own_a_run_lasted_from_the_claim_until_now() -> None:
    job = make(State.RUNNING)
    assert settle(job, State.FAILED, Outcome.CRASHED)
    attempt = Attempt.objects.get()
    assert attempt.started_at == job.started_at
    assert abs(timezone.now() - attempt.finished_at) < dt.timedelta(seconds=5)


@pytest.mark.parametrize(
    ("outcome", "excused"), [(Outcome.FAILED, 0), (Outcome.LOST, 0), (Outcome.SNOOZED, 1), (Outcome.INTERRUPTED, 1)]
)
def test_back_to_pending_with_a_delay(outcome: Outcome, excused: int) -> None:
    job = make(State.RUNNING, queued_at=timezone.now())
    assert settle(job, State.PENDING, outcome, delay=60.0, error="later")
    job.refresh_from_db()
    assert (job.state, job.excused, job.finished_at, job.queued_at, job.error) == (State.PENDING, excused, None, None, "later")
    assert dt.timedelta(seconds=50) < job.run_at - timezone.now() <= dt.timedelta(seconds=61)
    assert claim(job) == []


def test_the_next_attempt_has_the_next_number() -> None:
    job = make()
    for number in (1, 2, 3):
        assert claim(job) == [job.pk]
        assert settle(job, State.PENDING, Outcome.FAILED, attempt=number)
    assert list(job.attempts.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


def test_a_cancel_that_was_asked_for_wins_over_another_attempt() -> None:
    job, done = make(State.RUNNING), make(State.RUNNING)
    assert cancel(job.pk)
    assert cancel(done.pk)
    assert settle(job, State.PENDING, Outcome.FAILED, delay=60.0, error="e")
    assert settle(done, State.SUCCEEDED)
    job.refresh_from_db()
    assert (job.state, job.finished_at is not None) == (State.CANCELLED, True)
    assert state_of(done) == State.SUCCEEDED


def test_a_batch_of_settlements_tells_the_winners(sql: Any) -> None:
    jobs = [make(State.RUNNING) for _ in range(5)]
    given = [
        Settlement(str(job.pk), 1 + (n % 2), State.SUCCEEDED, Outcome.SUCCEEDED, result=str(n)) for n, job in enumerate(jobs)
    ]
    with transaction.atomic():
        assert sql.settle(connection, given) == {str(jobs[n].pk) for n in (0, 2, 4)}
    assert Attempt.objects.count() == 3
    assert [Job.objects.get(pk=jobs[n].pk).result for n in (0, 2, 4)] == [0, 2, 4]


# --- log lines and progress ---------------------------------------------------------------------------------------------------


def test_log_lines_keep_their_order(sql: Any) -> None:
    job = make(State.RUNNING)
    at = 1_700_000_000.5
    sql.write(connection, WORKER, Group(logs=[LogRecord(str(job.pk), 1, at, 20, "logger", f"line {n} ü") for n in range(50)]))
    lines = list(LogLine.objects.order_by("id"))
    assert [line.message for line in lines] == [f"line {n} ü" for n in range(50)]
    assert (lines[0].attempt, lines[0].level, lines[0].logger, lines[0].job_id) == (1, 20, "logger", job.pk)
    assert lines[0].at == dt.datetime.fromtimestamp(at, dt.UTC)


def test_log_lines_of_a_commit_whose_answer_was_lost_are_kept_once(sql: Any) -> None:
    job, other = make(State.RUNNING), make(State.RUNNING)
    at = 1_700_000_000.123456
    lines = [LogRecord(str(one.pk), 1, at + n / 1e3, 20, "", f"line {n}") for n in range(4) for one in (job, other)]
    before = sql.clock(connection)
    sql.write(connection, WORKER, Group(logs=lines[:5]))
    sql.write(connection, WORKER, Group(logs=lines, again=before))
    for one in (job, other):
        kept = LogLine.objects.filter(job=one.pk).order_by("id").values_list("message", flat=True)
        assert list(kept) == [f"line {n}" for n in range(4)]


def test_so_are_those_of_a_worker_whose_clock_is_ahead(sql: Any) -> None:
    job, ahead = make(State.RUNNING), time.time() + 60
    ticks = [LogRecord(str(job.pk), 1, ahead + n, 20, "", "tick") for n in range(4)]
    sql.write(connection, WORKER, Group(logs=ticks[:1]))  # of the batch before
    before = sql.clock(connection)
    for _ in range(2):
        sql.write(connection, WORKER, Group(logs=ticks[1:], again=before))
    assert LogLine.objects.filter(job=job.pk).count() == len(ticks)


def test_dead_messages_of_a_commit_whose_answer_was_lost_are_kept_once(sql: Any) -> None:
    one = Dead("it is no JSON: ü", "w@here", "", "celery", '{"type": "\\ \\""}', b'\x00\xff\\{"', 5)
    other = one._replace(body=b"{", size=1)
    sql.write(connection, WORKER, Group(dead=[one]))  # of the batch before
    before = sql.clock(connection)
    DeadMessage.objects.update(received_at=before - HOUR)
    for _ in range(2):
        sql.write(connection, WORKER, Group(dead=[one, one, other], again=before))
    assert sorted(bytes(body) for body in DeadMessage.objects.values_list("body", flat=True)) == sorted(
        [*[one.body] * 3, other.body]
    )


def test_output_is_kept_once_and_of_the_latest_run_alone(sql: Any) -> None:
    job, later = make(State.RUNNING), make(State.RUNNING, attempt=2)
    at = 1_700_000_000.5
    chunks = [Chunk(str(one.pk), 1, n, at, f'"ü {n}"', n == 3) for n in (1, 2, 3) for one in (job, later)]
    for again in (chunks[:2], chunks):  # written twice: the answer to the first commit was lost
        sql.write(connection, WORKER, Group(output=again))
    kept = list(OutputChunk.objects.values_list("job", "attempt", "number", "value", "cut"))
    assert kept == [(job.pk, 1, 1, '"ü 1"', False), (job.pk, 1, 2, '"ü 2"', False), (job.pk, 1, 3, '"ü 3"', True)]
    assert OutputChunk.objects.filter(at=dt.datetime.fromtimestamp(at, dt.UTC)).count() == 3


@pytest.mark.parametrize("by", ["age", "hand"])
def test_output_goes_with_its_job(sql: Any, by: str) -> None:
    job = make(State.RUNNING)
    sql.write(connection, WORKER, Group(output=[Chunk(str(job.pk), 1, 1, 1.5, "1", False)]))
    settle(job)
    Job.objects.update(finished_at=timezone.now() - HOUR)
    assert (delete(job.pk) if by == "hand" else sql.prune(connection, State.SUCCEEDED, 60.0, 10, 1e6)) == 1
    assert not OutputChunk.objects.exists()


def test_progress_of_a_stale_or_ended_run_is_dropped(sql: Any) -> None:
    runs, stale, ended = make(State.RUNNING), make(State.RUNNING, attempt=2), make(State.SUCCEEDED)
    sql.write(connection, WORKER, Group(progress=[Progress(str(job.pk), 1, 0.5, "half") for job in (runs, stale, ended)]))
    notes = dict(Job.objects.values_list("pk", "progress_note"))
    assert [notes[job.pk] for job in (runs, stale, ended)] == ["half", "", ""]
    assert Job.objects.get(pk=runs.pk).progress == 0.5


def test_what_has_ended_is_settled_before_anything_is_disowned(sql: Any) -> None:
    """The database's answer to a heartbeat may be older than the end of a run."""
    ended, unknown = (make(State.RUNNING, worker=WORKER) for _ in range(2))
    settlement = Settlement(str(ended.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED)
    sql.write(connection, WORKER, Group(settlements=[settlement], released=[str(ended.pk), str(unknown.pk)]))
    assert (state_of(ended), state_of(unknown)) == (State.SUCCEEDED, State.PENDING)
