"""Signals of what became of jobs: sent after the commit, from web and from worker and dispatcher."""

import datetime as dt
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.dispatch import Signal
from furrow import Job, State, cancel, signals, statements, submit, submit_many
from furrow.dispatcher.expire import Expire
from furrow.statements import Settlement
from furrow.states import Outcome
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine
NAMES = ("job_submitted", "job_succeeded", "job_failed", "job_cancelled", "job_expired", "job_retried")


@pytest.fixture
def heard() -> Iterator[list[tuple[str, Any, Any]]]:
    """All signals: name, sender, and the job or the ids."""
    found: list[tuple[str, Any, Any]] = []
    receivers = []
    for name in NAMES:

        def receiver(sender: Any, name: str = name, **told: Any) -> None:
            found.append((name, sender, told.get("job", told.get("ids"))))

        sent: Signal = getattr(signals, name)
        sent.connect(receiver, weak=False)
        receivers.append((sent, receiver))
    yield found
    for sent, receiver in receivers:
        sent.disconnect(receiver)


def settled(job: Job, state: State, outcome: Outcome, *, error: str = "", delay: float | None = None) -> None:
    """A run of this job, which ends so."""
    sql = statements.on(connection)
    Job.objects.filter(pk=job.pk).update(run_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    (claimed,) = sql.claim(connection, uuid.uuid4(), [str(job.pk)])
    sql.settle(connection, [Settlement(claimed.id, claimed.attempt, state, outcome, os.getpid(), error=error, delay=delay)])
    signals.runs_settled([(claimed.id, claimed.attempt)])


@pytest.mark.django_db
def test_where_nobody_listens_nothing_is_asked_and_nothing_waits_for_the_commit(
    django_assert_num_queries: DjangoAssertNumQueries,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks, django_assert_num_queries(1):
        submit(kinds.add, {"a": 1})
        signals.runs_settled([(str(uuid.uuid4()), 1)])
        signals.ended_unstarted([uuid.uuid4()], State.CANCELLED)
    assert len(callbacks) == 1, "the wake-up"


@pytest.mark.django_db
def test_a_submit_is_told_once_it_is_committed(
    heard: list[Any], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        one = submit(kinds.add, {"a": 1}, unique="k")
        assert heard == []
    with django_capture_on_commit_callbacks(execute=True):
        ids = submit_many(kinds.add, [{"a": n} for n in range(3)])
        assert submit(kinds.add, {"a": 1}, unique="k").existed
    assert heard == [("job_submitted", kinds.add, [one.pk]), ("job_submitted", kinds.add, ids)]


@pytest.mark.django_db
def test_what_is_rolled_back_is_not_told(
    heard: list[Any], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        cancel(submit(kinds.add, {"a": 1}).pk)
        transaction.set_rollback(True)
    assert heard == []


@pytest.mark.django_db
def test_jobs_that_never_began_are_told_of(
    heard: list[Any], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    job, late = submit(kinds.add, {"a": 1}, meta={"tenant": "acme"}), submit(kinds.add, {"a": 2}, expires=60)
    with django_capture_on_commit_callbacks(execute=True):
        cancel(job.pk, reason="not wanted")
    Job.objects.filter(pk=late.pk).update(expires_at=Now())
    with django_capture_on_commit_callbacks(execute=True):
        assert Expire().run_once() == 1
    (_, sender, cancelled), (name, _, expired) = heard[-2:]
    assert (heard[-2][0], sender, cancelled.id, cancelled.attempt, cancelled.outcome) == (
        "job_cancelled",
        kinds.add,
        job.pk,
        0,
        None,
    )
    assert (cancelled.error, dict(cancelled.meta), cancelled.state) == ("not wanted", {"tenant": "acme"}, State.CANCELLED)
    assert (name, expired.id, expired.state) == ("job_expired", late.pk, State.CANCELLED)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "outcome", "name"),
    [
        (State.SUCCEEDED, Outcome.SUCCEEDED, "job_succeeded"),
        (State.FAILED, Outcome.FAILED, "job_failed"),
        (State.FAILED, Outcome.LOST, "job_failed"),
        (State.CANCELLED, Outcome.CANCELLED, "job_cancelled"),
        (State.PENDING, Outcome.TIMED_OUT, "job_retried"),
        (State.PENDING, Outcome.SNOOZED, "job_retried"),
    ],
)
def test_each_end_of_a_run_has_its_signal(heard: list[Any], state: State, outcome: Outcome, name: str) -> None:
    job = submit(kinds.add, {"a": 1})
    settled(job, state, outcome, error="Error: why", delay=0.0 if state == State.PENDING else None)
    told = [entry for entry in heard if entry[0] != "job_submitted"]
    assert [(sent, sender, ended.id, ended.attempt) for sent, sender, ended in told] == [(name, kinds.add, job.pk, 1)]
    ended = told[0][2]
    assert (ended.state, ended.outcome, ended.error, ended.queue) == (state, outcome, "Error: why", "default")


@pytest.mark.django_db
def test_a_run_that_another_settled_is_told_as_it_was_settled_and_one_that_is_gone_is_not(heard: list[Any]) -> None:
    job = submit(kinds.add, {"a": 1})
    settled(job, State.FAILED, Outcome.LOST)
    heard.clear()
    signals.runs_settled([(str(job.pk), 1), (str(job.pk), 7), (str(uuid.uuid4()), 1)])
    assert [(name, ended.outcome) for name, _, ended in heard] == [("job_failed", Outcome.LOST)]


# --- worker and dispatcher ----------------------------------------------------------------------------------------------------


def test_worker_and_dispatcher_tell_from_processes_of_their_own(bare: Stack, tmp_path: Path) -> None:
    """Whose receivers raise, and do no harm."""
    told = tmp_path / "told"
    given = {"FURROW_MODULES": "tasks,tests.kinds,tests.listeners", "LISTENERS_FILE": str(told), "FURROW_WORKER_LEASE": "3"}

    def lines() -> list[str]:
        return sorted(line.rsplit(" ", 1)[0] for line in told.read_text().splitlines()) if told.exists() else []

    many = submit_many(kinds.add, [{"a": n} for n in range(300)])
    writes, snoozes, fails = submit(kinds.writes, {"name": "told"}), submit(kinds.snoozes, {"times": 1}), submit(kinds.fails)
    late = submit(kinds.add, {"a": 1}, countdown=60, expires=1)
    Job.objects.filter(pk=late.pk).update(expires_at=Now())
    dispatcher, worker = bare.dispatcher(**given), bare.worker(**given)
    all_ended(60)
    wanted = [f"job_succeeded kinds.add {id} 1 succeeded" for id in many]
    wanted += [f"job_succeeded kinds.writes {writes.pk} 1 succeeded", f"job_expired kinds.add {late.pk} 0 None"]
    wanted += [f"job_retried kinds.snoozes {snoozes.pk} 1 snoozed", f"job_succeeded kinds.snoozes {snoozes.pk} 2 succeeded"]
    wanted += [f"job_retried kinds.fails {fails.pk} {n} failed" for n in (1, 2)] + [
        f"job_failed kinds.fails {fails.pk} 3 failed"
    ]
    wait_until(lambda: lines() == sorted(wanted), what="all is told, once")
    pids = {int(line.rsplit(" ", 1)[1]) for line in told.read_text().splitlines()}
    assert not pids & {dispatcher.popen.pid, worker.popen.pid}
    assert len(pids) == 2

    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    after = submit(kinds.add, {"a": 1})
    wait_until(lambda: f"job_succeeded kinds.add {after.pk} 1 succeeded" in lines(), what="another goes on")
    running = submit(kinds.sleeps, {"seconds": 60}, max_attempts=1)
    wait_until(lambda: Job.objects.filter(pk=running.pk, state=State.RUNNING).exists(), what="it runs")
    worker.kill()
    wait_until(lambda: f"job_failed kinds.sleeps {running.pk} 1 lost" in lines(), what="its end in the dispatcher is told")
    stopped = bare.worker("second", **given)
    last = submit(kinds.add, {"a": 1})
    all_ended(30)
    assert stopped.stop() == 0
    assert f"job_succeeded kinds.add {last.pk} 1 succeeded" in lines(), "what ended before the worker is told before it ends"


def test_a_receiver_that_hangs_holds_up_no_job_and_no_end_of_a_worker(bare: Stack, tmp_path: Path) -> None:
    given = {"FURROW_MODULES": "tasks,tests.kinds,tests.listeners", "LISTENERS_FILE": str(tmp_path / "told")}
    bare.dispatcher()
    worker = bare.worker(**given)
    submit(kinds.add, {"a": 1}, meta={"slow": True})
    submit_many(kinds.add, [{"a": n} for n in range(200)])
    all_ended(30)
    assert worker.stop(30) == 0
    assert "A receiver of signals did not end" in worker.text
