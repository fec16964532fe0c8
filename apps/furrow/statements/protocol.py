"""What each database has to offer: the functions of a dialect, by the rooms that call them.

:mod:`furrow.statements.postgresql` and :mod:`furrow.statements.sqlite` are the two dialects; mypy holds each against
:class:`Statements`, and ``tests/integration/test_statements_*.py`` tests each function on both.

One file because it is the list that both are held against.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import (
    Answer,
    Asked,
    Candidate,
    Claimed,
    Due,
    Group,
    Locker,
    Moved,
    NewTick,
    Outgoing,
    Position,
    Report,
    Rescheduled,
    RuleColumns,
    Settlement,
    Slot,
    Waiting,
    Window,
    Written,
)
from furrow.states import State

#: Columns of a single job, beside those of all.
Own = Sequence[Mapping[str, Any]]


class Submission(Protocol):
    """INSERT, and what a unique key finds."""

    def insert_jobs(
        self,
        connection: Connection,
        ids: Sequence[uuid.UUID],
        texts: Sequence[str],
        columns: dict[str, Any],
        own: Own | None = ...,
    ) -> int:
        """Insert a pending job for each id and arguments text; the other columns are the same for all, but for those in
        ``own``. Returns how many: those whose id exists are left out, which does not abort the caller's transaction,
        unless there are so many that they are copied (:data:`furrow.statements.postgresql.submit.COPY_FROM`)."""

    def insert_unique(
        self, connection: Connection, ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any], own: Own
    ) -> set[uuid.UUID]:
        """The same for jobs with unique keys; returns the ids of those that are in the table now. Those whose key another
        has are left out; one that another transaction is about to commit is waited for."""

    def forget_keys(self, connection: Connection, keys: Sequence[str]) -> None:
        """Take these unique keys from jobs that do not keep them any more."""

    def keepers(self, connection: Connection, keys: Sequence[str]) -> dict[str, uuid.UUID]:
        """The jobs that have these unique keys, by key."""

    def replace(self, connection: Connection, key: str, text: str, columns: Mapping[str, Any]) -> uuid.UUID | None:
        """Give the job with this unique key other arguments and columns, if it has not begun; ``None`` if it has. What it
        holds for the old ones is given back, and a message that is on its way will be dropped."""


class Dispatch(Protocol):
    """Which jobs are due, whose turn it is, who leads, and what is pruned."""

    def due(self, connection: Connection, queue: str, limit: int, since: Mapping[int, Position] | None = ...) -> Due:
        """The next due jobs of a queue, but for those with limits: best priority first, then the longest due; of each
        priority those after ``since``, which may be taken as a hint."""

    def seconds_until_due(self, connection: Connection, queue: str, since: Mapping[int, Position] | None = ...) -> float | None:
        """Seconds until the next pending job of this queue is due (0 or less: now); ``None`` when there is none after
        ``since``."""

    def waiting(
        self, connection: Connection, queues: Sequence[str], limit: int
    ) -> list[tuple[str, int, int, dt.datetime | None]]:
        """For each queue: its name, how many pending jobs that are not held are due, how many are for later (each counted
        up to ``limit``), and when the longest due became so."""

    def mark_queued(self, connection: Connection, attempts: Mapping[uuid.UUID, int], term: int) -> int:
        """Mark published jobs (by id, with the attempt that they had) as queued, if this term still leads; returns how
        many. Those claimed or cancelled meanwhile are left alone."""

    def window(self, connection: Connection, queue: str, since: dt.datetime | None = ...) -> Window:
        """How many jobs of a queue RabbitMQ holds, and for how long the oldest has been there; of those sent from
        ``since`` on."""

    def prune(self, connection: Connection, state: State, age: float, limit: int, oldest: float) -> int:
        """Delete jobs that ended in this state ``age`` seconds ago or before (but no more than ``oldest``), with all that
        belongs to them; returns how many. Those that keep their unique key for a time are left."""

    def lead(self, connection: Connection, role: str, holder: str, lease: float, over: dt.datetime | None = ...) -> int | None:
        """Take or keep a role's lease; the term while it is held, ``None`` while another holds it. Another's is over by
        the database's clock, or when its end is still ``over``: the caller has seen it unchanged for long enough."""

    def tenants(self, connection: Connection, queue: str, after: str | None, limit: int) -> list[str]:
        """Tenants (fair keys) with due jobs that wait for their turn, in their order, from behind one on (``None``: from
        all)."""

    def take_turns(self, connection: Connection, queue: str, shares: Mapping[str, int]) -> int:
        """Let go so many due jobs of each tenant, best priority first; returns how many."""


class Limits(Protocol):
    """The keys of jobs with limits: which slots are taken, who waits for them."""

    def leads(self, connection: Connection, term: int) -> bool:
        """This term still leads, and will until the transaction ends."""

    def candidates(self, connection: Connection, queue: str, limit: int) -> list[Candidate]:
        """Due jobs of a queue that have limits and wait for no key, in the order of the day."""

    def still_free(self, connection: Connection, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Those of these candidates that wait for no key yet and whose row nobody else has locked; they stay locked for
        this transaction."""

    def seconds_until_candidate(self, connection: Connection, queue: str) -> float | None:
        """Seconds until the next of these is due (0 or less: now); ``None`` when there is none."""

    def slots(self, connection: Connection, keys: Collection[str]) -> list[Slot]:
        """The slots of these keys that are taken. A rate's that are free again are deleted."""

    def heads(self, connection: Connection, order_keys: Collection[str]) -> dict[str, uuid.UUID]:
        """Of each order key the job whose turn it is: the first that is not over."""

    def watched(self, connection: Connection, keys: Collection[str]) -> dict[str, int]:
        """Of each key how many slots are taken and cannot be given back before this transaction ends; without
        those that have none."""

    def take(self, connection: Connection, rows: Sequence[tuple[str, int, uuid.UUID, float | None, bool]]) -> None:
        """Take slots: key, slot, job, period, ordered. A rate's that nobody has and that is not free yet is taken from then on.

        Raises:
            IntegrityError: one is taken.
        """

    def park(self, connection: Connection, keys: Mapping[uuid.UUID, str]) -> None:
        """These pending jobs wait for these keys; one whose row is locked is looked at again."""

    def release(self, connection: Connection, keys: Collection[str] | None = ...) -> int:
        """Let go those that wait for these keys (``None``: for any), as many as there are free slots; returns how many."""

    def sweep(self, connection: Connection) -> int:
        """Give back what ended, cancelled, expired, deleted or put off jobs still hold, those of a paused queue, and slots
        that a job needs no more; returns how many slots."""

    def set_rules(self, connection: Connection, rows: Sequence[RuleColumns]) -> None:
        """Write what the rules of pending jobs come to."""

    def waited_for(self, connection: Connection, after: str, limit: int) -> list[Waiting]:
        """The keys that jobs wait for, in their order, from behind one on; each with a job that waits for it."""

    def let_go(self, connection: Connection, key: str, limit: int) -> int:
        """Let go the first of those that wait for this key, whether it is free or not; returns how many."""

    def move_limits(self, connection: Connection, ids: Sequence[uuid.UUID], limits: str) -> None:
        """These jobs have moved to another queue: its limits (JSON) take the place of the old one's, which holds them no
        more. Jobs without limits get them when the dispatcher sees them; those whose limits cannot be read fail there."""


class Runs(Protocol):
    """Claim and settle."""

    def claim(self, connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> list[Claimed]:
        """Give these jobs to a worker; those that may not run now (cancelled, settled, expired, not due, of a paused
        queue) are left out."""

    def offered(self, connection: Connection, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[str]:
        """Jobs of these kinds that an external worker may claim now, in the order of the day: due ones without limits, and
        those that the dispatcher let in. Another may claim them first."""

    def release_jobs(self, connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> None:
        """Give back jobs that are this worker's by the database, and of which it does not know; the attempt does not
        count. What somebody asked to stop is cancelled."""

    def settle(self, connection: Connection, settlements: Sequence[Settlement]) -> set[str]:
        """Settle runs and record their attempts; returns the jobs for which the attempt was still the current run."""

    def unknown(self, connection: Connection, ids: Collection[str]) -> set[str]:
        """Those of these ids that no job has."""

    def write(self, connection: Connection, worker: uuid.UUID, group: Group) -> Written:
        """A worker's group commit: all of it in one transaction. After an error the connection must be dropped."""


class Workers(Protocol):
    """The lease of a worker, what it is asked, and its partitions."""

    def renew(self, connection: Connection, worker: uuid.UUID, lease: float, report: Report = ...) -> bool:
        """Renew a worker's lease; ``False`` when it was taken for dead and owns nothing any more."""

    def owned(self, connection: Connection, worker: uuid.UUID) -> list[str]:
        """Jobs that this worker runs, by the database."""

    def stop_requests(self, connection: Connection, worker: uuid.UUID) -> list[str]:
        """Jobs that this worker runs and somebody cancelled."""

    def register_worker(
        self, connection: Connection, worker: uuid.UUID, lease: float, description: dict[str, Any], report: Report = ...
    ) -> None:
        """Insert the row of a worker's new life: node, host, pid, version, code_version, session, queues, kinds."""

    def stop_worker(self, connection: Connection, worker: uuid.UUID, report: Report = ...) -> None:
        """A worker ended in order."""

    def asked(self, connection: Connection, worker: uuid.UUID) -> list[Asked]:
        """Take what people ask of this worker, in their order; each request is taken once."""

    def canaries(self, connection: Connection) -> tuple[list[tuple[str, str, float]], frozenset[str]]:
        """Kind, version and share of each canary; and where there is one, the versions of the code that living workers have."""

    def answer(self, connection: Connection, answers: Sequence[Answer]) -> None:
        """Answer requests; one that has an answer keeps it, one whose row somebody has locked gets none."""

    def partition_keys(self, connection: Connection, ids: Sequence[uuid.UUID], argument: str) -> dict[uuid.UUID, str]:
        """The text of this argument of each of these jobs. Left out are those that have none, or null; and those with
        limits, which other programs inserted: in a line the first could wait for a slot that one behind it has."""

    def unended(self, connection: Connection, ids: Collection[str]) -> set[str]:
        """Those of these jobs that have not ended."""

    def workers_of(self, connection: Connection, queue: str) -> list[uuid.UUID]:
        """The living workers that consume this queue, and were not asked to leave it."""


class Locked(Protocol):
    """Rows and sessions that are in the way."""

    def locked(self, connection: Connection, ids: Collection[Any]) -> set[str]:
        """Those of these jobs whose row another transaction has locked at this moment; asking waits for nobody. SQLite
        locks no rows."""

    def locker(self, connection: Connection, id: uuid.UUID) -> Locker | None:
        """The session that has this job's row locked; ``None`` when no other transaction has, or the database does not
        say."""

    def lockers(self, connection: Connection, age: float) -> list[Locker]:
        """Sessions that may have jobs' rows locked, with transactions of more than ``age`` seconds; the oldest first."""


class Counts(Protocol):
    """What became of jobs, by five seconds."""

    def count_cancelled(self, connection: Connection, ids: Collection[Any]) -> None:
        """Count jobs that were cancelled, or failed, before they began; in the transaction that does so."""

    def roll(self, connection: Connection) -> int:
        """Roll what is old into longer spans; returns how many rows that were."""


class Clock(Protocol):
    """The database's clock, and jobs that its steps have misplaced."""

    def clock(self, connection: Connection) -> dt.datetime:
        """The database's time, by which jobs become due and expire."""

    def set_back(self, connection: Connection, before: dt.datetime) -> int:
        """The clock was set back, and showed ``before`` until then: what was sent, taken or put off by it counts from now;
        returns how many rows. To be called once; :func:`make_due` does the rest."""

    def make_due(self, connection: Connection, before: dt.datetime, limit: int) -> int:
        """Make due at most ``limit`` of the jobs that were submitted before the clock was set back and were due then;
        returns how many. Those that were submitted after it, or so long ago that nobody can tell, keep the time that
        they were given. ``before`` is the last time that is known: a job that was to run at once was due, also if it
        was submitted later."""


class Sessions(Protocol):
    """The connection itself, what is told over it, and the guards of its tables."""

    def prepare(self, connection: Connection, patience: float) -> None:
        """Prepare a connection that only looks rows up by key; ``patience``: seconds after which a statement gives up on a
        lock."""

    def name_session(self, connection: Connection, name: str, patience: float | None = ...) -> None:
        """Name the database session; ``patience``: seconds to wait for a lock at most. SQLite has none."""

    def end_sessions(self, connection: Connection, names: Sequence[str]) -> int:
        """End the sessions of these names, in this database; how many there were.

        Raises:
            django.db.Error: this role may not end sessions of theirs.
        """

    def read_any_time(self, connection: Connection) -> None:
        """From now on times that Python does not know are read as the nearest time that it does know."""

    def tell(self, connection: Connection, troubles: Sequence[tuple[str, str, str, int]], lasts: float) -> None:
        """Count troubles (name, text, remedy, how often), in the order of their names. One that has not occurred for
        ``lasts`` seconds begins anew."""

    def guard(self, connection: Connection, guarded: Any) -> None:
        """Let this table (:class:`furrow.statements.guards.Guarded`) refuse what could not be read."""

    def unguard(self, connection: Connection, guarded: Any) -> None:
        """Let it refuse nothing any more."""


class Events(Protocol):
    """Events of jobs, and the outbox of all events."""

    def tell_of_jobs(self, connection: Connection, patterns: Collection[str]) -> bool:
        """From now on write an event of each move of a job whose name may match one of these (``LIKE``); of none: no
        triggers. ``False``: so it was already."""

    def unpublished(self, connection: Connection, limit: int) -> list[Outgoing]:
        """The first events that RabbitMQ has not confirmed, in the order of their ids."""

    def mark_published(self, connection: Connection, ids: Sequence[int], term: int) -> int:
        """RabbitMQ has these events, if this term still leads; returns how many were marked. Each call marks them with a time
        that is later than that of all before it, in the order of the commits."""

    def prune_events(self, connection: Connection, age: float, after: int, limit: int) -> tuple[int, int]:
        """Look at so many events behind this id that were published ``age`` seconds ago or earlier, and delete them, but for
        the last of each job that is still there: its number goes on. Returns how many were deleted, and the id of the last that
        was looked at."""


class Graph(Protocol):
    """Workflows."""

    def follow_nodes(self, connection: Connection) -> None:
        """From now on each job of a node that ends, or is taken up again, leaves a move. For a migration."""

    def unfollow_nodes(self, connection: Connection) -> None:
        """No more."""

    def moves_wait(self, connection: Connection) -> bool:
        """Whether there is any move."""

    def drop_lost_moves(self, connection: Connection, limit: int) -> int:
        """Delete so many moves of nodes, or of workflows, that are gone: nobody counts them. Returns how many."""

    def count_lost_jobs(self, connection: Connection, limit: int) -> int:
        """Nodes that count on jobs of which no row is left: a move for each, which counts these jobs as cancelled. Returns how
        many moves, at most so many."""

    def fill_in(self, connection: Connection, node: uuid.UUID, arguments: str, state: State = State.WAITING) -> int:
        """Put these arguments (a JSON object's text) over those of the node's jobs in this state, but for jobs that another
        has locked; returns how many."""

    def free_nodes(self, connection: Connection, nodes: Sequence[uuid.UUID], limit: int) -> dict[str, int]:
        """Make so many waiting jobs of these nodes pending, but for those that another has locked; returns how many by
        queue."""

    def take_moves(self, connection: Connection, limit: int) -> list[Moved]:
        """Take so many moves out of the table, added up by node, and lock the workflows that they are of until the caller's
        transaction ends. Those of workflows that another has locked stay, and hold up nobody."""


class Schedules(Protocol):
    """Schedules, whose times have come."""

    def insert_ticks(self, connection: Connection, ticks: Sequence[NewTick]) -> set[uuid.UUID]:
        """Insert those of these ticks whose schedule and time have none; returns the jobs that those will have."""

    def move_schedules(self, connection: Connection, moved: Sequence[Rescheduled]) -> None:
        """Write what became of these schedules; what is ``None`` of their last time and job stays as it is."""


class Statements(
    Submission, Dispatch, Limits, Runs, Workers, Locked, Counts, Clock, Sessions, Events, Graph, Schedules, Protocol
):
    """A dialect: all of them."""
