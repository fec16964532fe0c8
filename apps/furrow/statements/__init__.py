"""The engine's SQL, named: one package a database, with the functions of :class:`furrow.statements.protocol.Statements`.

A function takes Django's connection and runs a few set-based statements; the caller holds the transaction. Jobs' ids are text
here, as in messages and between processes: thousands a second pass by, and making objects of them would be a tenth of the
work. Every write that moves a job is guarded by the states it may come from
(:func:`furrow.states.sources`), and by the attempt where it settles a run: rows that lost the race are left out of the
answer, which is not an error.

One file because these records are what the two packages and their callers share: who adds one finds all others here.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper

from furrow.states import Outcome, State

if TYPE_CHECKING:
    from furrow.statements.protocol import Statements

#: Seconds that a statement of many jobs waits for a row that is locked, before it is run again without that job.
BRIEF = 0.05

#: ``error`` of a job that was released: taken back, or cancelled if somebody had asked for that.
DISOWNED = "its worker did not know of it: an answer or a commit of the database was lost"
CANCELLED = "cancelled by request"

#: ``Claimed.limited`` of a job with a rate.
WITH_RATE = 2


class Claimed(NamedTuple):
    """A job that a worker now owns."""

    id: str
    kind: str
    arguments: str  #: JSON text of an object
    attempt: int
    excused: int
    max_attempts: int
    limited: int = 0  #: it has limits (1), and one of them is a rate (2)
    line: str = ""  #: the key that was handed over to it: jobs of one line run one after the other, in one process
    wait: float = 0.0  #: seconds from now on in which it must not begin: its rate's slot was taken early
    meta: str | None = None  #: JSON text of an object: what travels with it besides its arguments


class Settlement(NamedTuple):
    """The end of one run: what becomes of the job, and the attempt's record."""

    id: str
    attempt: int
    state: State  #: a final state, or pending
    outcome: Outcome
    pid: int = 0
    started: float = 0.0  #: seconds since the epoch; 0: when it was claimed
    finished: float = 0.0  #: seconds since the epoch; 0: now
    delay: float | None = None  #: with pending: seconds until it is due again
    result: str | None = None  #: JSON text
    error: str = ""  #: one line
    error_type: str = ""
    traceback: str = ""
    fingerprint: str = ""  #: of an error that shall be counted: :func:`furrow.fingerprint.sign`


class Outgoing(NamedTuple):
    """An event that RabbitMQ has not confirmed."""

    id: int
    name: str
    job: str | None
    number: int | None
    data: str  #: JSON text
    depth: int
    at: dt.datetime


class Moved(NamedTuple):
    """What became of jobs of a node, added up: by how many these counts of it change."""

    node: uuid.UUID
    open: int
    failed: int
    cancelled: int
    #: Among them was a move of a job that was taken up again, or one that changes nothing: somebody asked for another look.
    asked: bool = False


class LogRecord(NamedTuple):
    """A log line on its way to the database."""

    id: str
    attempt: int
    at: float  #: seconds since the epoch
    level: int
    logger: str
    message: str


class Chunk(NamedTuple):
    """A chunk of a run's output stream on its way to the database."""

    id: str
    attempt: int
    number: int  #: from 1 in each attempt
    at: float  #: seconds since the epoch
    value: str  #: JSON text
    cut: bool  #: the rest is not kept


class Progress(NamedTuple):
    """The latest progress of a run."""

    id: str
    attempt: int
    fraction: float
    note: str


class Dead(NamedTuple):
    """A message that could not be used; see :class:`furrow.models.DeadMessage`."""

    reason: str
    worker: str  #: its node
    exchange: str
    routing_key: str
    properties: str  #: JSON text
    body: bytes  #: its beginning
    size: int  #: bytes of the whole


class Report(NamedTuple):
    """What a worker says of itself with each heartbeat: columns of ``Worker``."""

    stats: str = "{}"  #: JSON: its processes (:mod:`furrow.worker.pool.process_stats`)
    paused: str = "[]"  #: JSON: names of the queues that it was asked not to consume
    ended: int = 0  #: runs that ended here, in this life
    failed: int = 0  #: those of them that did not end well
    processes: int = 0  #: pool processes


class Asked(NamedTuple):
    """What somebody asks of a worker: a row of ``WorkerRequest``."""

    id: str
    action: str
    subject: str
    by: str


class Answer(NamedTuple):
    """What the worker says to it."""

    id: str
    succeeded: bool
    text: str


class Locker(NamedTuple):
    """A database session that has rows locked. What this role may not see of it is empty."""

    name: str  #: its ``application_name``
    user: str
    pid: int
    since: dt.datetime  #: when its transaction began
    query: str  #: its statement, or the last one; may have values in it


class HandOver(NamedTuple):
    """To whom the keys of lock limits may pass when runs end: to the next jobs that wait for them, at this worker."""

    keys: int  #: at most so many keys
    jobs: int  #: and of each so many jobs, which then are a line
    queues: Collection[str]
    kinds: Collection[str]


class Group(NamedTuple):
    """What a worker writes in one transaction."""

    released: Sequence[str] = ()  #: ids of jobs that are the worker's by the database only
    progress: Sequence[Progress] = ()
    settlements: Sequence[Settlement] = ()  #: one a run at most
    logs: Sequence[LogRecord] = ()
    output: Sequence[Chunk] = ()  #: of a run that is not the job's latest nothing is written
    dead: Sequence[Dead] = ()
    claims: Mapping[str, str] = MappingProxyType({})  #: jobs that it wants: the kind that the message said, by id
    limited: Collection[str] = ()  #: of the jobs that are settled those that have limits
    in_line: Collection[str] = ()  #: of those the ones that free no key: others of their line come after them
    hand_over: HandOver | None = None  #: ``None``: their keys go back, and the dispatcher says who is next
    begun: Sequence[tuple[str, int, float]] = ()  #: runs with a rate that began: id, attempt, seconds since the epoch
    unqueued: Sequence[str] = ()  #: jobs whose messages this worker dropped: pending again, if they are queued
    again: dt.datetime | None = None  #: perhaps it was written before, not earlier than this: a commit's answer was lost


class Written(NamedTuple):
    """What came of a group."""

    claimed: list[Claimed]  #: lines first, each in its order
    let_go: int  #: jobs that had waited for keys and are the dispatcher's now
    moved: int = 0  #: jobs of workflows' nodes that ended: moves for the dispatcher


#: Where a job stands among the pending ones of its queue and priority: its ``run_at`` and id.
Position = tuple[dt.datetime, uuid.UUID]


#: A place in the order of the day: priority, ``run_at``, id.
Place = tuple[int, dt.datetime, uuid.UUID]


class Sendable(NamedTuple):
    """A due job that may be sent."""

    id: uuid.UUID
    kind: str
    attempt: int  #: of its last run: by another number one has begun since


class Due(NamedTuple):
    """Jobs that may be sent."""

    jobs: list[Sendable]
    reached: dict[int, Position]  #: by priority: nothing that is due comes before, but what was found
    more_from: Place | None = None  #: where there may be more: the place of the last; ``None`` when these are all


class Candidate(NamedTuple):
    """A due job with limits."""

    id: uuid.UUID
    kind: str
    attempt: int
    limits: str  #: JSON text, see :func:`furrow.limits.stored.read`
    place: Place


class Waiting(NamedTuple):
    """The first of the jobs that wait for a key."""

    key: str
    kind: str
    queue: str
    limits: str  #: JSON text


#: A rate's slot is taken so many seconds before it is free, at most; never earlier than half of its period before. In that time
#: the job is sent and claimed, so that it begins when the slot is free.
EARLY = 0.25
#: Seconds between two looks at a rate's slots, at least.
SOON = 0.005


def lead(period: float) -> float:
    """How many seconds before a slot of a rate is free it may be taken."""
    return min(EARLY, period / 2)


class Slot(NamedTuple):
    """A slot of a key that is taken."""

    key: str
    slot: int
    job: uuid.UUID | None
    free_in: float | None  #: seconds until it is free by itself; ``None``: when its job gives it back
    period: float | None

    @property
    def early(self) -> bool:
        """It may be taken now, for a job that begins when it is free."""
        return self.job is None and self.free_in is not None and self.free_in <= lead(self.period or 0.0)

    @property
    def look_in(self) -> float | None:
        """Seconds until it may be taken, with pauses that let several be taken in one go; ``None``: its start is not known."""
        if self.free_in is None:
            return None
        before = lead(self.period or 0.0)
        early = self.free_in - before if self.job is None or self.free_in > before else self.free_in  # its run still goes on
        return max(early, before / 4, SOON)


class RuleColumns(NamedTuple):
    """What the rules of a job come to."""

    id: uuid.UUID
    limits: str
    order_key: str | None
    fair_key: str | None
    held: str


class NewTick(NamedTuple):
    """A time of a schedule, and what becomes of it; ``job`` is the one that it will have."""

    schedule: int
    due_at: dt.datetime
    job: uuid.UUID | None
    outcome: str
    origin: str
    missed: int
    note: str


class Rescheduled(NamedTuple):
    """What became of a schedule. ``None`` of the last two times: nothing new."""

    id: int
    next_at: dt.datetime | None
    fire_at: dt.datetime | None
    last_at: dt.datetime | None
    last_job: uuid.UUID | None
    held: str


class Window(NamedTuple):
    """What RabbitMQ holds of a queue, as the database knows it."""

    queued: int = 0
    oldest_age: float = 0.0  #: seconds since the oldest was sent; 0 when none is
    oldest: dt.datetime | None = None  #: when that was; when none is: now


def read_any_time(sender: object, connection: BaseDatabaseWrapper, **others: object) -> None:
    """From now on this new connection reads every stored time, also one that Python cannot hold."""
    if connection.vendor in ("postgresql", "sqlite"):
        on(connection).read_any_time(connection)


_dialects: "dict[str, Statements]" = {}


def on(connection: BaseDatabaseWrapper) -> "Statements":
    """The statements for this connection's database.

    Raises:
        ImproperlyConfigured: neither PostgreSQL nor SQLite.
    """
    return _dialects.get(connection.vendor) or _load(connection.vendor)


def _load(vendor: str) -> "Statements":
    found: Statements
    if vendor == "postgresql":
        from furrow.statements import postgresql as found
    elif vendor == "sqlite":
        from furrow.statements import sqlite as found
    else:
        raise ImproperlyConfigured(f"Furrow runs on PostgreSQL and SQLite, not on {vendor}: change DATABASE_URL.")
    _dialects[vendor] = found
    return found
