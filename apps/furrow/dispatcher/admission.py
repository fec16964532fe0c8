"""Admission: give due jobs with limits all of their slots, or hold them.

Only the leading dispatcher takes slots, in one transaction a batch that holds its term; ``furrow_hold``'s primary key has the
last word. Who gets none is *parked*: ``held`` names the key that it waits for, and it leaves the index of due jobs, so that a
hundred thousand that wait for one key slow nothing. Whoever gives a slot of the key back lets the next one go, in the same
transaction. A slot could come back between the look at it and the parking; so the looked-at rows are locked for that moment,
and what could not be locked is being given back: these jobs are not parked but looked at again in the next round. So is a job
whose own row somebody else has locked: it takes no slot from others.
"""

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError

from furrow import statements
from furrow.actions.jobs import cancel, end_unstarted
from furrow.limits.limit import Limit
from furrow.models import Hold, Job
from furrow.models.database import atomic, connection
from furrow.plural import counted
from furrow.statements import Candidate, Sendable, Slot
from furrow.states import State

logger = logging.getLogger(__name__)

#: A rate's slot that was taken for a start that is not known yet is looked at again after so many seconds: at first, and at
#: most.
STARTING, LATER = 0.025, 1.0


@dataclass
class _Board:
    """Who holds what, as far as one batch is concerned."""

    taken: dict[str, dict[int, uuid.UUID | None]]
    heads: dict[str, uuid.UUID]
    #: Seconds until the first slot of a rate may be taken.
    free_in: dict[str, float]
    #: Slots of rates that are free so soon that they may be taken, the first last.
    early: dict[str, list[int]]
    lowest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, slots: Iterable[Slot], heads: dict[str, uuid.UUID]) -> "_Board":
        taken: dict[str, dict[int, uuid.UUID | None]] = defaultdict(dict)
        free_in: dict[str, float] = {}
        early: dict[str, list[int]] = defaultdict(list)
        for slot in sorted(slots, key=lambda slot: -(slot.free_in or 0.0)):
            taken[slot.key][slot.slot] = slot.job
            if slot.early:
                early[slot.key].append(slot.slot)
            if slot.period is not None:
                seconds = min(slot.period, STARTING) if slot.look_in is None else slot.look_in
                free_in[slot.key] = min(seconds, free_in.get(slot.key, seconds))
        return cls(taken, heads, free_in, early)

    def holds(self, job: uuid.UUID, key: str) -> bool:
        return job in self.taken[key].values()

    def free_slot(self, limit: Limit) -> int | None:
        """The first slot of this limit that nobody has, or that is free soonest if it may be taken early."""
        taken = self.taken[limit.key]
        if len(taken) >= limit.slots:  # also of numbers beyond: the limit may have been higher
            early = self.early[limit.key]
            return early[-1] if len(taken) == limit.slots and early and early[-1] < limit.slots else None
        first = self.lowest.get(limit.key, 0)
        slot = next((slot for slot in range(first, limit.slots) if slot not in taken), None)
        self.lowest[limit.key] = limit.slots if slot is None else slot
        return slot

    def blocks(self, job: uuid.UUID, limit: Limit) -> bool:
        """This job cannot have a slot of this limit now."""
        if self.holds(job, limit.key):
            return False
        if limit.ordered and self.heads.get(limit.key) != job:
            return True
        return self.free_slot(limit) is None


@dataclass
class _Verdicts:
    """What becomes of a batch."""

    board: _Board
    sent: list[Sendable] = field(default_factory=list)
    taking: list[tuple[str, int, uuid.UUID, float | None, bool]] = field(default_factory=list)
    parked: dict[uuid.UUID, str] = field(default_factory=dict)
    dropped: dict[uuid.UUID, str] = field(default_factory=dict)
    #: Keys whose holders shall stop, and the job that wants it.
    replaced: dict[str, uuid.UUID] = field(default_factory=dict)


class Admission:
    """One for the dispatcher. Remembers when rates allow the next start."""

    def __init__(self) -> None:
        self._opens: dict[str, float] = {}
        #: By key: for how long the next look waits for a start.
        self._patience: dict[str, float] = {}

    def admit(
        self, candidates: Sequence[Candidate], limits_of: Callable[[Candidate], list[Limit]], term: int
    ) -> list[Sendable]:
        """Take slots for these jobs, which are due, in their order; returns those that have all of theirs and may be sent."""
        try:
            with atomic():
                sql = statements.on(connection)
                if not candidates or not sql.leads(connection, term):
                    return []
                free = sql.still_free(connection, [candidate.id for candidate in candidates])
                candidates = [candidate for candidate in candidates if candidate.id in free]
                limits = {candidate.id: limits_of(candidate) for candidate in candidates}
                verdicts = self._judge(sql, candidates, limits)
                sql.take(connection, verdicts.taking)
                self._replace(sql, verdicts)
                self._drop(verdicts)
                sql.park(connection, _parkable(sql, verdicts))
        except IntegrityError as error:
            logger.warning("A slot was taken by somebody else; looking again at %s: %s", counted(len(candidates), "job"), error)
            return []
        return verdicts.sent

    def _judge(self, sql: Any, candidates: Sequence[Candidate], limits: dict[uuid.UUID, list[Limit]]) -> _Verdicts:
        keys = {limit.key for mine in limits.values() for limit in mine}
        slots = sql.slots(connection, keys) if keys else []
        ordered = {limit.key for mine in limits.values() for limit in mine if limit.ordered}
        board = _Board.of(slots, sql.heads(connection, ordered) if ordered else {})
        verdicts = _Verdicts(board)
        for candidate in candidates:
            self._judge_one(candidate, limits[candidate.id], board, verdicts)
        for key in {key for key in verdicts.parked.values() if key in board.free_in}:
            self._opens[key] = time.monotonic() + board.free_in[key]
        return verdicts

    def _judge_one(self, candidate: Candidate, limits: list[Limit], board: _Board, verdicts: _Verdicts) -> None:
        blocking = next((limit for limit in limits if board.blocks(candidate.id, limit)), None)
        if blocking is None:
            for limit in limits:
                if not board.holds(candidate.id, limit.key):
                    slot = board.free_slot(limit)
                    assert slot is not None
                    if slot in board.taken[limit.key]:
                        board.early[limit.key].pop()
                    board.taken[limit.key][slot] = candidate.id
                    if limit.period is not None:
                        board.free_in.setdefault(limit.key, min(limit.period, STARTING))
                    verdicts.taking.append((limit.key, slot, candidate.id, limit.period, limit.ordered))
            verdicts.sent.append(Sendable(candidate.id, candidate.kind, candidate.attempt))
        elif blocking.conflict == "drop":
            verdicts.dropped[candidate.id] = blocking.key
        else:
            verdicts.parked[candidate.id] = blocking.key
            if blocking.conflict == "cancel":
                verdicts.replaced[blocking.key] = max(candidate.id, verdicts.replaced.get(blocking.key, candidate.id))

    def _drop(self, verdicts: _Verdicts) -> None:
        for key in set(verdicts.dropped.values()):
            _cancel_pending(
                [id for id, its in verdicts.dropped.items() if its == key], f"dropped: {key} was taken when it was due"
            )

    def _replace(self, sql: Any, verdicts: _Verdicts) -> None:
        """The newest goes: older ones that wait are cancelled, the one that runs for the longest is asked to stop."""
        for key, newest in verdicts.replaced.items():
            reason = f"replaced by job {newest}, which also needs {key}"
            older = [id for id, its in verdicts.parked.items() if its == key and id < newest]
            for id in older:
                del verdicts.parked[id]
            waiting = Job.objects.filter(state=State.PENDING, held=key, pk__lt=newest).values_list("pk", flat=True)
            _cancel_pending([*older, *waiting], reason)
            holders = Job.objects.filter(pk__in=_holders(key), pk__lt=newest).order_by("pk").values_list("pk", flat=True)
            for holder in holders[:1]:
                cancel(Job.objects.filter(pk=holder).exclude(pk__in=sql.locked(connection, [holder])), reason=reason)

    def open_rates(self, term: int) -> int:
        """Let go jobs that wait for a rate whose next start is allowed by now; returns how many."""
        now = time.monotonic()
        if not (keys := [key for key, at in self._opens.items() if at <= now]):
            return 0
        released: int = 0
        waited_for: dict[str, list[Slot]] = {}
        sql = statements.on(connection)
        with atomic():
            if sql.leads(connection, term):
                released = sql.release(connection, keys)
                waited_for = {key: [] for key in keys if Job.objects.filter(state=State.PENDING, held=key).exists()}
                for slot in sql.slots(connection, keys):
                    waited_for.get(slot.key, []).append(slot)
        for key in keys:
            del self._opens[key]
            patience = self._patience.pop(key, STARTING)
            if key in waited_for:
                self._opens[key] = now + self._look_in(key, waited_for[key], STARTING if released else patience)
        return released

    def _look_in(self, key: str, slots: list[Slot], patience: float) -> float:
        """Seconds until this key is to be looked at again: when the next of its slots is free, or, as long as a start is not
        known, after a while that grows."""
        known = [seconds for slot in slots if (seconds := slot.look_in) is not None]
        if len(known) < max(1, len(slots)):
            self._patience[key] = min(LATER, 2 * patience)
            known.append(patience)
        return min(known)

    def seconds_until_open(self) -> float | None:
        """Until the next rate allows a start; ``None`` when none is waited for."""
        return min(self._opens.values()) - time.monotonic() if self._opens else None


def _parkable(sql: Any, verdicts: _Verdicts) -> dict[uuid.UUID, str]:
    """Those for whose key nobody is giving a slot back at this moment. (A rate's come back with time.)"""
    board, parked = verdicts.board, verdicts.parked
    looked_at = set(parked.values()) - board.free_in.keys()
    watched = sql.watched(connection, looked_at) if looked_at else {}
    return {id: key for id, key in parked.items() if key in board.free_in or watched.get(key, 0) >= len(board.taken[key])}


def _cancel_pending(ids: Sequence[uuid.UUID], reason: str) -> None:
    end_unstarted(Job.objects.filter(pk__in=ids, state=State.PENDING), reason)


def _holders(key: str) -> list[uuid.UUID]:
    return [job for job in Hold.objects.filter(key=key).values_list("job", flat=True) if job is not None]
