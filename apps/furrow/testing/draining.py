"""``drain``: run the jobs that are due, here and now."""

import datetime as dt
import uuid

from django.db.models import Q

from furrow import statements
from furrow.adoption.ended import Ended as TaskEnded
from furrow.conf import conf
from furrow.errors import Interruption, JobFailed, Retry, Snooze, UnknownQueue, did_you_mean
from furrow.kinds.kind import Kind, get_kind
from furrow.locks.errors import LockUnavailable
from furrow.models.database import connection
from furrow.states import Outcome, State
from furrow.testing.drained import Drained
from furrow.testing.engine import Ended, open_engine
from furrow.testing.times import advance, seconds_of

#: Outcomes of a run that say that something is wrong.
_BAD = {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.INTERRUPTED}


def drain(
    queue: str | None = None,
    kind: Kind | str | None = None,
    *,
    until: dt.datetime | dt.timedelta | float | None = None,
    limit: int = 1_000,
    with_scheduled: bool = False,
    raise_on_failure: bool = True,
) -> Drained:
    """Run the jobs that are due, and those that they submit, until none is: in this process, on this connection, within the
    test's transaction. No broker, no Redis, no other process::

        def test_the_customer_is_charged(db):
            order = Order.objects.create()
            charge.submit(order_id=order.pk)
            assert drain().succeeded == 1
            order.refresh_from_db()
            assert order.charged

    Jobs are picked, claimed, run and settled by what a dispatcher and a worker do it with, so that order, limits, retries,
    results, log lines and attempts are the real ones. Two things are not: jobs run one after the other, and timeouts are not
    enforced.

    Args:
        queue, kind: only those of this queue, of this kind (or its name).
        until: let time pass up to this time, or for so long (timedelta or seconds), and run what becomes due meanwhile, each
            job when it is its time. See :func:`furrow.testing.advance` for what passes.
        limit: runs at most; more are an error, since jobs that submit each other would go on for ever.
        with_scheduled: the same as ``until``, for as long as anything is scheduled: also retries and snoozed jobs.
        raise_on_failure: raise what a handler raises, once its run is recorded. ``False``: go on, as a worker does. Snoozes and
            :class:`furrow.Retry`, which a handler raises on purpose, are never raised.

    Returns:
        How many runs ended how.

    Raises:
        Exception: what a handler raised, with a note that names its job.
        AssertionError: more than ``limit`` runs.
        furrow.testing.DispatcherRuns: a dispatcher leads on this database.
    """
    scope = _scope(queue, kind)
    with open_engine() as engine:
        if engine.running:
            raise RuntimeError("drain() is called by a job that a drain runs: what a job submits is run when that has ended.")
        left = float("inf") if with_scheduled else None if until is None else seconds_of(until)
        ended: list[Ended] = []
        put_off: set[uuid.UUID] = set()
        while True:
            looked_at = _now()
            if run := engine.step(scope & ~Q(pk__in=put_off)):
                ended.append(run)
                _look_at(run, raise_on_failure)
                if len(ended) > limit:
                    raise AssertionError(
                        f"drain() ran {limit:,} jobs and more are due; one is {run.kind} {run.job}. Raise limit=…."
                    )
                if left is None and run.settlement.delay:
                    put_off.add(run.job)  # also where that time has passed by now
                continue
            at = None if left is None else engine.next_time(scope, looked_at)
            wait = 0.0 if at is None else max(0.0, (at - _now()).total_seconds())
            if left is None or at is None or wait > left:
                break
            advance(wait)
            left -= wait
        if left and left != float("inf"):
            advance(left)
        return Drained.of(ended)


def _scope(queue: str | None, kind: Kind | str | None) -> Q:
    if queue is not None and queue not in conf().queues:
        raise UnknownQueue(f"{queue!r} is no queue; {did_you_mean(queue, conf().queues)} (FURROW['QUEUES']).")
    name = kind.name if isinstance(kind, Kind) else kind and get_kind(kind).name
    return Q(**({"queue": queue} if queue else {}), **({"kind": name} if name else {}))


def _now() -> dt.datetime:
    now: dt.datetime = statements.on(connection).clock(connection)
    return now


def _look_at(run: Ended, raise_on_failure: bool) -> None:
    bad = run.settlement.outcome in _BAD and not isinstance(run.raised, (Retry, Snooze)) and not _goes_on(run)
    if bad and (raise_on_failure or isinstance(run.raised, KeyboardInterrupt)):
        raise_of(run)


def _goes_on(run: Ended) -> bool:
    """A Celery task asked for another run."""
    return isinstance(run.raised, TaskEnded) and run.settlement.state == State.PENDING


def raise_of(run: Ended) -> None:
    """Raise what its handler raised; the text of what would end this program too, or came before its handler was called."""
    if run.raised is None or isinstance(run.raised, (SystemExit, Interruption, TaskEnded)):
        raise JobFailed(f"{run.kind} {run.job}: {run.settlement.error}") from run.raised
    note = f"Raised by {run.kind}, job {run.job}, attempt {run.settlement.attempt}; raise_on_failure=False goes on."
    run.raised.add_note(note)
    if isinstance(run.raised, LockUnavailable):
        run.raised.add_note("In a test without Redis: with furrow.testing.local_locks(): …")
    raise run.raised
