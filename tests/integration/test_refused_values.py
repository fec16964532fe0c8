"""Whose fault an error of a statement is: only the value's may cost a run its end."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from furrow import statements
from furrow.models import Attempt, DeadMessage, Job, LogLine
from furrow.statements import Dead, Group, LogRecord, Report, Settlement, Written
from furrow.statements.refused import ANY, refuses_value
from furrow.states import Outcome, State
from furrow.worker.ledger.lease import Lease
from furrow.worker.ledger.ledger import Ledger
from furrow.worker.ledger.thread import LedgerThread
from furrow.worker.news import News, Reply

from tests.rows import make
from tests.stack import wait_until

postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'")


def error_of(statement: str, *parameters: Any) -> BaseException:
    """What this statement raises."""
    with pytest.raises(ANY) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
    return raised.value


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("SELECT %s", ("half of a pair: \ud800",)),
        ("INSERT INTO furrow_queue (name, draining) VALUES (%s, %s)", (None, False)),
        pytest.param("SELECT %s", ("a\x00b",), marks=postgresql),
        pytest.param("SELECT '\"\\u0000\"'::jsonb ->> 0", (), marks=postgresql),
        pytest.param("SELECT repeat('[', 20000)::jsonb", (), marks=postgresql),
        pytest.param("SELECT 'infinity'::timestamptz::date - 'infinity'::timestamptz", (), marks=postgresql),
    ],
)
def test_a_value_that_no_second_try_makes_storable(statement: str, parameters: tuple[Any, ...]) -> None:
    assert refuses_value(error_of(statement, *parameters))


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM a_table_that_is_not_there",
        pytest.param("DEALLOCATE a_statement_that_was_prepared_elsewhere", marks=postgresql),
        pytest.param("PREPARE mine AS SELECT 1; PREPARE mine AS SELECT 1", marks=postgresql),
        pytest.param("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)", marks=postgresql),
        pytest.param("SET TRANSACTION READ ONLY; CREATE TABLE t (a int)", marks=postgresql),
        pytest.param(
            "SET LOCAL temp_file_limit = '64kB'; SELECT count(DISTINCT g) FROM generate_series(1, 900000) g", marks=postgresql
        ),
    ],
)
def test_a_connection_a_server_or_a_schema_that_is_at_fault(statement: str) -> None:
    assert not refuses_value(error_of(statement))


@pytest.fixture
def ledger(live_db: None) -> Any:
    """A worker's ledger that holds a lease; whoever asked it is answered in its thread."""
    lease = Lease("w@here", lambda: {"host": "here", "version": "1", "processes": 1, "queues": [], "kinds": []}, Report)
    ledger = Ledger(lease)
    thread = LedgerThread(ledger, answer, (), NothingToHandOver())
    thread.start()
    yield ledger
    assert thread.is_alive()
    assert thread.stop(20)


class NothingToHandOver:
    """Instead of a worker's event loop."""

    def offer(self, kinds: Sequence[str]) -> None:
        """Nothing."""


def answer(news: News) -> None:
    """Instead of the event loop."""
    if isinstance(news, Reply):
        news.callback(*news.answer)


def ran(ledger: Ledger, **fields: Any) -> Job:
    """A job whose run this ledger's worker has ended."""
    job = make(State.RUNNING, worker=ledger.lease.worker)
    ledger.settle(Settlement(str(job.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED, 7, **{"result": "1", **fields}))
    return job


def ended(job: Job) -> Job:
    """The job as it ended."""
    wait_until(lambda: Job.objects.filter(pk=job.pk, finished_at__isnull=False).exists(), what="the end is recorded")
    return Job.objects.get(pk=job.pk)


@postgresql
def test_a_prepared_statement_that_the_session_lost_costs_no_run_its_end(ledger: Ledger) -> None:
    ended(ran(ledger))
    forgotten = threading.Event()
    ledger.ask(lambda link: link.cursor().execute("DEALLOCATE ALL"), lambda answer: forgotten.set())
    assert forgotten.wait(20)
    jobs = [ended(job) for job in [ran(ledger) for _ in range(3)]]
    assert [(job.state, job.result, job.error) for job in jobs] == [(State.SUCCEEDED, 1, "")] * 3


def test_an_end_that_cannot_be_sent_fails_its_job_alone(ledger: Ledger) -> None:
    bad, good = ran(ledger, error="\ud800"), ran(ledger)
    assert ended(good).state == State.SUCCEEDED
    assert (ended(bad).state, "could not be stored" in ended(bad).error) == (State.FAILED, True)
    assert Attempt.objects.get(job=bad.pk).error_type == "EndNotStored"


@pytest.mark.parametrize("end", [{}, {"error": "\ud800"}], ids=["all at once", "one by one"])
def test_what_was_committed_though_no_answer_came_stands_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, end: dict[str, str]
) -> None:
    """Two lines, or messages, that are alike are two."""
    sql = statements.on(connection)
    right, lost, kept = sql.write, set[str](), []

    def write(link: Any, worker: Any, group: Group) -> Written:
        written, wrote = right(link, worker, group), repr((group.logs, group.dead))
        if (group.logs or group.dead) and wrote not in lost:
            lost.add(wrote)
            raise OperationalError("server closed the connection unexpectedly")
        return written

    monkeypatch.setattr(sql, "write", write)
    DeadMessage.objects.all().delete()
    message, at = Dead("it is no JSON", "w@here", "", "celery", "{}", b"{", 1), time.time() + 60
    with ledger._wake:  # one batch
        job = ran(ledger, **end)
        for number in range(2):
            ledger.log(LogRecord(str(job.pk), 1, at + number, 20, "", "tick"))
            ledger.keep(message, lambda: kept.append(message))
    wait_until(lambda: len(kept) == 2, what="the messages are kept")
    assert ended(job).state == (State.FAILED if end else State.SUCCEEDED)
    assert (LogLine.objects.filter(job=job.pk).count(), DeadMessage.objects.count()) == (2, 2)
    DeadMessage.objects.all().delete()
