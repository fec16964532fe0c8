"""Dispatcher and worker of a test, in one process and on one connection: the same SQL, rules and runner, without broker.

``Engine.step`` runs the one job that is next in the order of the day. What a dispatcher decides about it (limits, order, turns,
pauses, expiry) :mod:`furrow.dispatcher` decides; it is claimed and settled by :mod:`furrow.statements`, as in a worker.
"""

import datetime as dt
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import Error
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet

from furrow import signals, statements
from furrow.conf import conf
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.limited import Limited
from furrow.dispatcher.pauses import Pauses
from furrow.dispatcher.turns import Turns
from furrow.errors import FurrowError
from furrow.limits.limit import FAIR_GATE
from furrow.models import Hold, Job, Leader, Step
from furrow.models.database import atomic, connection
from furrow.models.job import new_id
from furrow.models.step import Sort
from furrow.statements import Candidate, Claimed, Group, Sendable, Settlement
from furrow.statements.refused import refuses_value
from furrow.states import State
from furrow.testing import locks
from furrow.testing.pool_process import OwnConnection, Reports, Uninterrupted, pool_process
from furrow.worker.child import runner
from furrow.worker.ledger.batch import unstorable
from furrow.workflows.advance import advance

#: The worker that the rows name.
WORKER = new_id()
#: Seconds to wait for another thread's jobs.
PATIENCE = 60.0
#: Settings that the dispatcher's transactions change until they end; in a test that is the whole test.
_CHANGED = ("synchronous_commit", "enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")


class DispatcherRuns(FurrowError):
    """A dispatcher leads on this database: its workers run the jobs."""


@dataclass(frozen=True)
class Ended:
    """One run."""

    job: uuid.UUID
    kind: str
    settlement: Settlement
    raised: BaseException | None  #: by the handler


class Engine:
    """One drain. Within :func:`open_engine`."""

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self._admission, self._pauses = Admission(), Pauses()
        self._pauses.look()
        self._limited = {queue: Limited(queue, self._admission) for queue in conf().queues}
        self._turns = {queue: Turns(queue) for queue in conf().queues}
        #: A job runs right now.
        self.running = False
        #: To be run next, whatever else is due.
        self.waiting: list[uuid.UUID] = []

    @property
    def _term(self) -> int:
        self._leadership.hold()
        return self._leadership.term or 0

    def step(self, scope: Q) -> Ended | None:
        """Run the next of these jobs that is due; ``None`` when none can run now."""
        for look_first in (self._let_in, self._look_after):
            look_first()
            if ended := self._first(scope):
                return ended
        return None

    def _first(self, scope: Q) -> Ended | None:
        passed: set[uuid.UUID] = set()
        while (job := self._due(scope).exclude(pk__in=passed).first()) is not None:
            admitted = self._admit(job)
            if admitted is None:
                continue  # its rules stand in its row by now
            if admitted and (claimed := self._claim(job)):
                return self._run(claimed)
            passed.add(job.pk)
        return None

    def next_time(self, scope: Q, after: dt.datetime) -> dt.datetime | None:
        """When the next of these jobs may be due; ``None`` when none waits for a time after this one."""
        waits = Step.objects.filter(job=OuterRef("pk"), sort__in=[Sort.SIGNAL, Sort.CALL])
        patient = waits.filter(until__isnull=True, finished_at__isnull=True)
        pending = Job.objects.filter(~Exists(patient), scope, state=State.PENDING)
        held = pending.exclude(held="").values("held")
        times = [
            pending.filter(run_at__gt=after).aggregate(first=Min("run_at"))["first"],
            Hold.objects.filter(key__in=held, free_at__gt=after).aggregate(first=Min("free_at"))["first"],
        ]
        return min((time for time in times if time is not None), default=None)

    def advance(self) -> None:
        """What follows in workflows from what has ended."""
        while advance(self._term):
            pass

    def _let_in(self) -> None:
        """Nodes of workflows are let go; tenants take turns."""
        self.advance()
        if Job.objects.filter(state=State.PENDING, held=FAIR_GATE).exists():
            for queue, turns in self._turns.items():
                if queue not in self._pauses.paused:
                    turns.take(1, self._term)

    def _look_after(self) -> None:
        """What a dispatcher does between two looks at what is due; only before giving up, for it is most of the work."""
        sql, term = statements.on(connection), self._term
        Expire().run_once()
        if connection.vendor == "sqlite":  # there the engine's clock is Python's, which may be frozen; that of defaults is not
            now, to_run_at_once = sql.clock(connection), Q(run_at=F("created_at"), attempt=0)
            Job.objects.filter(to_run_at_once, state=State.PENDING, run_at__gt=now).update(run_at=now)
        with atomic():
            sql.leads(connection, term)
            sql.sweep(connection)
            sql.release(connection)
        self._pauses.look()
        self._let_in()

    def _due(self, scope: Q) -> "QuerySet[Job]":
        """In the order of the day."""
        due = Job.objects.filter(scope, state=State.PENDING, held="", queue__in=conf().queues)
        now = statements.on(connection).clock(connection)
        if connection.vendor == "sqlite":  # compares texts, and Django leaves out a fraction that is zero, as of frozen time
            now += dt.timedelta(microseconds=1)
        return due.filter(run_at__lte=now).exclude(queue__in=self._pauses.paused).order_by("priority", "run_at", "pk")

    def _admit(self, job: Job) -> bool | None:
        """Whether it may run now; ``None``: its limits were not in its row, and are now."""
        limited, sendable = self._limited[job.queue], Sendable(job.pk, job.kind, job.attempt)
        if job.limits is None:
            return self._is_first_of_its_line(job) if limited.sort_out([sendable]) else None
        text = json.dumps(job.limits, default=str)
        candidate = Candidate(*sendable, text, (job.priority, job.run_at, job.pk))
        stored = limited._stored([candidate])
        limits_of = partial(limited._limits_of, stored)
        return bool(stored) and bool(self._admission.admit([candidate], limits_of, self._term))

    def _is_first_of_its_line(self, job: Job) -> bool:
        """In a queue with partitions the jobs behind one that is tried again wait for it."""
        parted = conf().partitioned.get(job.queue)
        if parted is None or job.attempt:
            return True
        mine = {f"arguments__{parted.key}": job.arguments.get(parted.key)}
        return not Job.objects.filter(queue=job.queue, state=State.PENDING, attempt__gt=0, **mine).exists()

    def _claim(self, job: Job) -> Claimed | None:
        sql: Any = statements.on(connection)
        with atomic():
            sql.mark_queued(connection, {job.pk: job.attempt}, self._term)
            written = sql.write(connection, WORKER, Group(claims={str(job.pk): job.kind}))
        return next(iter(written.claimed), None)

    def _run(self, claimed: Claimed) -> Ended:
        reports, interruptions, own = Reports(), Uninterrupted(), OwnConnection()
        held = locks.held()
        self.running = True
        try:
            with pool_process(reports, interruptions), own.entered():
                settlement = Settlement._make(runner.run(*claimed))
        finally:
            self.running = False
        own.leave()
        locks.give_back_all_but(held)
        self._settle(claimed, settlement, reports)
        return Ended(uuid.UUID(claimed.id), claimed.kind, settlement, interruptions.raised)

    def _settle(self, claimed: Claimed, settlement: Settlement, reports: Reports) -> None:
        begun = [(claimed.id, claimed.attempt, settlement.started)] if claimed.limited == statements.WITH_RATE else []
        group = Group(settlements=[settlement], limited=[claimed.id] if claimed.limited else [], begun=begun)
        try:
            _write(group)
        except Exception as error:
            if not refuses_value(error):
                raise
            _write(group._replace(settlements=[unstorable(settlement, error)]))
        if reports.logs or reports.output:
            _write(Group(logs=reports.logs, output=reports.output))
        if told := reports.progress:
            Job.objects.filter(pk=told.id, attempt=told.attempt).update(progress=told.fraction, progress_note=told.note)
        signals.runs_settled([(claimed.id, claimed.attempt)])


def _write(group: Group) -> None:
    with atomic():
        statements.on(connection).write(connection, WORKER, group)


_mutex = threading.RLock()
_open: Engine | None = None


def current_engine() -> Engine | None:
    """The one that is open."""
    return _open


@contextmanager
def open_engine() -> Iterator[Engine]:
    """For one drain. Within a job that it runs this is the same one.

    Raises:
        DispatcherRuns: jobs are not ours to run.
        TimeoutError: another thread runs jobs, and does not end.
    """
    global _open
    if not _mutex.acquire(timeout=PATIENCE):
        raise TimeoutError(
            f"Another thread of this process has run jobs for {PATIENCE:g} s. Does a job wait for a thread that submits some?"
        )
    try:
        if _open is not None:
            yield _open
            return
        leadership = Leadership()
        with _settings_kept():
            if not leadership.hold():
                holder = Leader.objects.values_list("holder", flat=True).first()
                raise DispatcherRuns(
                    f"A dispatcher ({holder}) leads on this database, and its workers run the jobs: wait for them, or stop it "
                    "before drain()."
                )
            _open = Engine(leadership)
            try:
                yield _open
            finally:
                _open = None
                with suppress(Error):  # in a transaction that an error has broken
                    Leader.objects.filter(holder=leadership.holder).delete()
    finally:
        _mutex.release()


@contextmanager
def _settings_kept() -> Iterator[None]:
    if connection.vendor != "postgresql":
        yield
        return
    before = _asked([f"current_setting('{name}')" for name in _CHANGED])
    try:
        yield
    finally:
        if connection.in_atomic_block:
            with suppress(Error):
                _asked([f"set_config('{name}', '{value}', true)" for name, value in zip(_CHANGED, before, strict=True)])


def _asked(expressions: Sequence[str]) -> Sequence[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(expressions)}")
        row: Sequence[str] = cursor.fetchone()
        return row
