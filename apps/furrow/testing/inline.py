"""Jobs that run where they are submitted."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import Q

from furrow import statements
from furrow.kinds.task import propagates
from furrow.models import Job, Node
from furrow.models.database import connection
from furrow.states import State
from furrow.submission import eager
from furrow.testing.draining import drain, raise_of
from furrow.testing.engine import Ended, Engine, current_engine, open_engine
from furrow.testing.pool_process import is_the_tests

#: Runs of one job at most.
MOST_RUNS = 1_000


@contextmanager
def run_inline(*, raise_on_failure: bool = True) -> Iterator[None]:
    """Within it a job runs as soon as the transaction in which it was submitted commits; at once outside of one::

        with run_inline():
            client.post("/orders/", {"customer": 7})
        assert Order.objects.get().charged

    In a ``TestCase``, whose own transaction never commits, that is when the block of the code under test ends; a block that is
    rolled back takes its jobs with it. Jobs that are due run as by :func:`furrow.testing.drain`; what is for later stays.
    """
    due = threading.local()

    def submitted(ids: Sequence[uuid.UUID]) -> None:
        due.any = True
        run_if_committed()

    def run_if_committed() -> None:
        engine = current_engine()
        if getattr(due, "any", False) and is_the_tests(connection) and not (engine and engine.running):
            due.any = False
            drain(raise_on_failure=raise_on_failure)

    with _after_each_block(run_if_committed), _told_of_submits(submitted):
        yield


@contextmanager
def _told_of_submits(told: eager.Run) -> Iterator[None]:
    before, eager.as_a_test = eager.as_a_test, told
    try:
        yield
    finally:
        eager.as_a_test = before


@contextmanager
def _after_each_block(call: Any) -> Iterator[None]:
    """Call this whenever a block of ``transaction.atomic`` has ended well."""
    leave = transaction.Atomic.__exit__

    def __exit__(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        leave(self, exc_type, exc_value, traceback)
        if exc_type is None and not self._from_testcase:
            call()

    transaction.Atomic.__exit__ = __exit__  # type: ignore[method-assign]
    try:
        yield
    finally:
        transaction.Atomic.__exit__ = leave  # type: ignore[method-assign]


def run_as_celery(ids: Sequence[uuid.UUID]) -> None:
    """What ``CELERY_TASK_ALWAYS_EAGER`` means: run these jobs here and now, in the caller's transaction, whenever they are due,
    and their retries without a pause. Jobs that a job submits run when it has ended.

    Raises:
        Exception: what a handler raised, with ``CELERY_TASK_EAGER_PROPAGATES``.
    """
    with open_engine() as engine:
        engine.waiting += ids
        if engine.running:
            return
        while engine.waiting:
            id = engine.waiting.pop(0)
            ended = _to_its_end(engine, id)
            if ended is not None and ended.settlement.state == State.FAILED and propagates():
                raise_of(ended)
            engine.waiting += [pk for pk in _let_go(engine, id) if pk not in engine.waiting]


def _let_go(engine: Engine, id: uuid.UUID) -> list[uuid.UUID]:
    """Jobs of its workflow that may run, now that this one has ended."""
    node = Job.objects.filter(pk=id).values_list("node", flat=True).first()
    if node is None:
        return []
    engine.advance()
    workflow = Node.objects.filter(pk=node).values("workflow")
    nodes = Node.objects.filter(workflow__in=workflow)
    return list(
        Job.objects.filter(node__in=nodes.values("pk"), state=State.PENDING).order_by("pk").values_list("pk", flat=True)
    )


def _to_its_end(engine: Engine, id: uuid.UUID) -> Ended | None:
    ended = None
    for _ in range(MOST_RUNS):
        now = statements.on(connection).clock(connection)
        Job.objects.filter(pk=id, state=State.PENDING, run_at__gt=now).update(run_at=now)
        run = engine.step(Q(pk=id))
        if run is None:
            break
        ended = run
        if ended.settlement.state != State.PENDING:
            break
    return ended
