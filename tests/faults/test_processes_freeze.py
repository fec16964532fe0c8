"""Freeze Furrow's processes (SIGSTOP), and let them go on when others have taken over.

On PostgreSQL only: a process that is frozen while it holds SQLite's write lock stops everybody until it goes on, and nothing
but its end helps. docs/guarantees.md says so.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models import F
from furrow import Job, State, submit, submit_many
from furrow.models import Leader, Worker

from tests import kinds
from tests.lock_rows import Row
from tests.stack import Stack, all_ended, database_url, wait_until

#: Leases, so that nobody waits for long.
SHORT: dict[str, Any] = {"FURROW_WORKER_LEASE": "10", "FURROW_LEADER_LEASE": "6"}


def test_a_frozen_worker_is_fenced_off(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    frozen = bare.worker("frozen", processes=1)
    job = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on := tmp_path / "goes on")})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING and mark.exists())
    frozen.send(signal.SIGSTOP)
    goes_on.touch()  # the pool process ends its run
    bare.worker("other")
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    other = Job.objects.get(pk=job.pk)
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "lost its lease" in frozen.text)
    after = Job.objects.get(pk=job.pk)
    assert (after.attempt, after.worker, after.finished_at) == (2, other.worker, other.finished_at)
    assert list(job.attempts.order_by("number").values_list("outcome", flat=True)) == ["lost", "succeeded"]
    # It begins a new life and takes work again.
    more = submit_many(kinds.add, [{"a": n} for n in range(20)])
    all_ended()
    assert Job.objects.filter(pk__in=more, state=State.SUCCEEDED).count() == 20


def test_a_frozen_leader_that_wakes_up_stands_by(bare: Stack) -> None:
    first = bare.dispatcher("one")
    wait_until(lambda: "This dispatcher leads" in first.text)
    term = Leader.objects.get(role="dispatcher").term
    first.send(signal.SIGSTOP)
    second = bare.dispatcher("two")
    wait_until(lambda: "This dispatcher leads" in second.text)
    assert Leader.objects.get(role="dispatcher").term == term + 1
    bare.worker()
    ids = submit_many(kinds.add, [{"a": n} for n in range(200)])
    first.send(signal.SIGCONT)
    wait_until(lambda: "Standing by" in first.text)
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED, attempt=F("excused") + 1).count() == 200


def test_a_worker_frozen_in_a_handlers_transaction_holds_nobody_up(bare: Stack, tmp_path: Path) -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Row)
    frozen = bare.worker("frozen", processes=1, **SHORT)
    try:
        Row.objects.create(name="row")
        bare.dispatcher(**SHORT)
        mark = tmp_path / "mark"
        job = submit(kinds.freezes_in_a_transaction, {"name": "row", "mark": str(mark)})
        wait_until(mark.exists)
        bare.worker("other", **SHORT)
        all_ended()
        assert list(job.attempts.order_by("number").values_list("outcome", flat=True)) == ["lost", "succeeded"]
        assert Row.objects.get().value == 1
        os.killpg(frozen.popen.pid, signal.SIGCONT)
        wait_until(lambda: "lost its lease" in frozen.text)
        submit_many(kinds.add, [{"a": n} for n in range(20)])
        all_ended()
        assert Row.objects.get().value == 1
    finally:
        frozen.kill()
        with connection.schema_editor() as editor:
            editor.delete_model(Row)


def life_of(name: str) -> Worker:
    """The row of a worker's present life."""
    return Worker.objects.filter(node=f"{name}@test").latest("started_at")


@contextmanager
def in_a_transaction(session: str, *statements: str) -> Iterator[None]:
    """What a process of this session's name had not committed when it was frozen: where exactly is nothing that a test can
    choose, so another connection stands in for it."""
    with psycopg.connect(database_url(), application_name=f"tests furrow-{session}") as link:
        for statement in statements:
            assert link.execute(statement).rowcount == 1
        yield
        with contextlib.suppress(psycopg.OperationalError):
            link.execute("SELECT 1")
            raise AssertionError("its session has not been ended")


@pytest.mark.thorough
def test_a_worker_frozen_in_its_own_transaction_holds_nobody_up(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher(**SHORT)
    frozen = bare.worker("frozen", processes=1, **SHORT)
    mark = tmp_path / "mark"
    submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on := tmp_path / "goes on")})
    wait_until(mark.exists)
    worker = life_of("frozen")
    with in_a_transaction(
        worker.session,
        "SELECT 1 FROM furrow_job WHERE state = 'running' FOR UPDATE",
        f"SELECT 1 FROM furrow_worker WHERE id = '{worker.pk}' FOR UPDATE",
    ):
        os.killpg(frozen.popen.pid, signal.SIGSTOP)
        goes_on.touch()
        bare.worker("other", **SHORT)
        all_ended()
    job = Job.objects.get()
    assert (job.state, job.attempt) == (State.SUCCEEDED, 2)


@pytest.mark.thorough
def test_a_leader_frozen_in_its_transaction_is_followed(bare: Stack) -> None:
    first = bare.dispatcher("one", **SHORT)
    wait_until(lambda: "This dispatcher leads" in first.text)
    leader = Leader.objects.get(role="dispatcher")
    with in_a_transaction(leader.holder[-8:], "SELECT 1 FROM furrow_leader WHERE role = 'dispatcher' FOR SHARE"):
        first.send(signal.SIGSTOP)
        second = bare.dispatcher("two", **SHORT)
        wait_until(lambda: "This dispatcher leads" in second.text)
    bare.worker()
    submit(kinds.add, {"a": 1})
    all_ended()


@pytest.mark.thorough
def test_a_worker_that_waits_for_a_lock_keeps_its_lease(bare: Stack, tmp_path: Path) -> None:
    """Another process holds its job's row for longer than a lease: an administrator, or a worker that is frozen."""
    bare.dispatcher(**SHORT)
    bare.worker(processes=1, **SHORT)
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on := tmp_path / "goes on")})
    wait_until(mark.exists)
    with psycopg.connect(database_url()) as link:
        link.execute("SELECT 1 FROM furrow_job WHERE state = 'running' FOR UPDATE")
        goes_on.touch()
        wait_until(lambda: "ended" in mark.read_text())
        before = life_of("worker").heartbeat_at
        wait_until(lambda: (life_of("worker").heartbeat_at - before).total_seconds() > 12)
    all_ended()
    assert list(job.attempts.values_list("outcome", flat=True)) == ["succeeded"]
    assert not life_of("worker").lost
