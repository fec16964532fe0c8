"""Rows for the tests of statements and pages: jobs in a state, claimed and settled by the statements themselves."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone
from furrow import statements
from furrow.fingerprint import fingerprint
from furrow.models import Job, Leader, Worker
from furrow.models.job import new_id
from furrow.statements import Settlement, guards
from furrow.states import FINAL, Outcome, State

WORKER = new_id()
HOUR = dt.timedelta(hours=1)


def make(state: State = State.PENDING, **columns: Any) -> Job:
    """A job in this state."""
    now = timezone.now()
    if state is State.RUNNING:
        columns = {"worker": WORKER, "started_at": now, "attempt": 1, **columns}
    if state in FINAL:
        columns = {"finished_at": now, "attempt": 1, **columns}
    if state is State.QUEUED:
        columns = {"queued_at": now, **columns}
    return Job.objects.create(**{"kind": "kinds.add", "state": state, "run_at": now - dt.timedelta(seconds=1), **columns})


def state_of(job: Job) -> State:
    """As the database has it."""
    return State(Job.objects.values_list("state", flat=True).get(pk=job.pk))


def claim(*jobs: Job) -> list[uuid.UUID]:
    """The jobs that could be claimed."""
    with transaction.atomic():
        return [uuid.UUID(c.id) for c in statements.on(connection).claim(connection, WORKER, [str(job.pk) for job in jobs])]


def settle(job: Job, state: State = State.SUCCEEDED, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> bool:
    """Whether this settled the run."""
    given = Settlement(str(job.pk), fields.pop("attempt", 1), state, outcome, **fields)
    with transaction.atomic():
        return statements.on(connection).settle(connection, [given]) == {str(job.pk)}


def lead(holder: str = "one", lease: float = 60) -> int | None:
    """The term, if this one leads."""
    term: int | None = statements.on(connection).lead(connection, "dispatcher", holder, lease)
    return term


def everything_runs(**leader: Any) -> None:
    """A dispatcher leads, and a worker with two processes lives."""
    until = timezone.now() + HOUR
    progressed = {"progressed_at": until, **leader}
    Leader.objects.create(role="dispatcher", holder="here:1", term=4, lease_until=until, **progressed)
    Worker.objects.create(node="w1@here", pid=1, processes=2, queues=["default"], lease_until=until)


def fail(message: str, kind: str = "kinds.add", state: State = State.FAILED) -> Job:
    """A job whose run ended so."""
    job = make(State.RUNNING, kind=kind)
    story = (
        f'Traceback (most recent call last):\n  File "/srv/tasks/pay.py", line 3, in charge\n    pay()\nValueError: {message}'
    )
    text = f"ValueError: {message}"
    end = Settlement(str(job.pk), 1, state, Outcome.FAILED, 7, delay=9.0 if state == State.PENDING else None, error=text)
    end = end._replace(error_type="ValueError", traceback=story, fingerprint=fingerprint("ValueError", text, story))
    with transaction.atomic():
        assert statements.on(connection).settle(connection, [end])
    return Job.objects.get(pk=job.pk)


@contextmanager
def unguarded() -> Iterator[None]:
    """As if the database refused nothing, within the test's transaction: constraints and triggers are off."""
    tables = guards.guarded(apps.get_models())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
            yield
            cursor.execute("SET session_replication_role = DEFAULT")
        else:
            for table in tables:
                statements.on(connection).unguard(connection, table)
            cursor.execute("PRAGMA ignore_check_constraints = ON")
            yield
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
            guards.install(connection, apps.get_models())
