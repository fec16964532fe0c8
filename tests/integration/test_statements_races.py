"""Races, on connections of their own, on both databases: of all that try at once one wins."""

import threading
import uuid
from collections import Counter
from functools import partial
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.utils import timezone
from furrow.actions.jobs import cancel
from furrow.models import Leader
from furrow.statements import Group, LogRecord, Settlement
from furrow.states import Outcome, State

from tests.races import together
from tests.rows import HOUR, WORKER, claim, lead, make, settle, state_of
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("committed")]


def test_of_many_claims_of_one_job_one_wins() -> None:
    for _ in range(10):
        job = make()
        results = together(*[partial(claim, job)] * 4)
        assert sorted(map(len, results)) == [0, 0, 0, 1]
        job.refresh_from_db()
        assert (job.state, job.attempt) == (State.RUNNING, 1)


def test_overlapping_claims_neither_deadlock_nor_share() -> None:
    jobs = [make() for _ in range(60)]
    orders = [jobs, jobs[::-1], jobs[30:] + jobs[:30]]
    results = together(*(partial(claim, *order) for order in orders))
    counts = Counter(id for claimed in results for id in claimed)
    assert counts == {job.pk: 1 for job in jobs}


def test_of_two_settlements_of_one_run_one_wins() -> None:
    for _ in range(10):
        job = make(State.RUNNING)
        results = together(partial(settle, job, result="1"), partial(settle, job, State.FAILED, Outcome.LOST, error="lost"))
        assert sorted(results) == [False, True]
        assert state_of(job) == (State.SUCCEEDED if results[0] else State.FAILED)
        assert job.attempts.count() == 1


def test_cancel_against_claim() -> None:
    for _ in range(10):
        job = make(State.QUEUED)
        claimed, cancelled = together(partial(claim, job), partial(cancel, job.pk))
        job.refresh_from_db()
        assert cancelled
        if claimed:
            assert (job.state, job.cancel_requested_at is not None) == (State.RUNNING, True)
        else:
            assert job.state == State.CANCELLED


def test_cancel_against_the_end_of_a_run_that_shall_be_tried_again() -> None:
    for _ in range(50):
        job = make(State.RUNNING)
        together(partial(cancel, job.pk), partial(settle, job, State.PENDING, Outcome.FAILED, delay=0.0, error="once more"))
        assert state_of(job) == State.CANCELLED


def test_of_two_that_want_to_lead_one_does() -> None:
    for _ in range(5):
        Leader.objects.all().delete()
        assert sorted(map(str, together(*(partial(lead, f"holder {n}") for n in range(3))))) == ["1", "None", "None"]
        Leader.objects.update(lease_until=timezone.now() - HOUR)
        assert sorted(map(str, together(*(partial(lead, f"other {n}") for n in range(3))))) == ["2", "None", "None"]


def test_a_claim_that_waits_for_a_cancel_sees_what_was_committed() -> None:
    job = make()
    locked, go = threading.Event(), threading.Event()

    def cancel_slowly() -> bool:
        with transaction.atomic():
            done = cancel(job.pk)
            locked.set()
            go.wait(60)
        return bool(done)

    def claim_meanwhile() -> list[uuid.UUID]:
        locked.wait(60)
        if connection.vendor == "postgresql":
            threading.Thread(target=lambda: (wait_until(lambda: _somebody_waits()), go.set())).start()
        else:
            go.set()
        return claim(job)

    assert together(cancel_slowly, claim_meanwhile) == [True, []]
    assert state_of(job) == State.CANCELLED


def _somebody_waits() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])
    finally:
        connection.close()


def test_a_group_is_written_at_once_or_not_at_all(sql: Any) -> None:
    ends, waits = make(State.RUNNING), make(State.QUEUED)
    bad = LogRecord(str(ends.pk), 1, 0.0, 20, "x" * 300, "its logger has more than 200 characters")
    settlement = Settlement(str(ends.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED)
    if connection.vendor == "postgresql":
        with pytest.raises(DataError):
            sql.write(connection, WORKER, Group(settlements=[settlement], logs=[bad], claims={str(waits.pk): "kinds.add"}))
        connection.close()
        assert (state_of(ends), state_of(waits)) == (State.RUNNING, State.QUEUED)
    (claimed,), *_ = sql.write(connection, WORKER, Group(settlements=[settlement], claims={str(waits.pk): "kinds.add"}))
    assert claimed.id == str(waits.pk)
    assert (state_of(ends), state_of(waits)) == (State.SUCCEEDED, State.RUNNING)


@pytest.mark.parametrize("what", ["a line", "an end"])
def test_what_a_run_logged_and_how_it_ended_is_on_disk_once_it_was_written(sql: Any, what: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite says so in its settings")
    job = make(State.RUNNING)
    line = LogRecord(str(job.pk), 1, timezone.now().timestamp(), 20, "logger", "line")
    end = Settlement(str(job.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")  # the tests' server has it off
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        before = cursor.fetchone()
        sql.write(connection, WORKER, Group(logs=[line]) if what == "a line" else Group(settlements=[end]))
        cursor.execute("SELECT pg_current_wal_flush_lsn() > %s", before)
        assert cursor.fetchone() == (True,)
        cursor.execute("RESET synchronous_commit")
