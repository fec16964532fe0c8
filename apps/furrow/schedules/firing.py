"""Firing: ticks and jobs of the schedules whose time has come, a batch of them in one transaction.

A tick is inserted first, and a job only for a tick that this transaction inserted. So whoever is killed, and whoever else fires
at the same moment, a time of a schedule has one job. The rows of a batch stay locked until the commit, and rows that somebody
else has locked are left.
"""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import Error, InterfaceError, OperationalError

from furrow import statements
from furrow.actions.jobs import cancel
from furrow.errors import FurrowError, NotUnique
from furrow.kinds.kind import get_kind
from furrow.models import Job, Schedule, Tick
from furrow.models.database import atomic, connection
from furrow.models.job import new_id
from furrow.recurrence import RecurrenceError
from furrow.schedule import Overlap
from furrow.schedules.plan import Due, plan
from furrow.schedules.rows import jitter_of, options_of
from furrow.schedules.telling import tell_ticks
from furrow.statements import sessions
from furrow.states import FINAL
from furrow.submission.submit import submit_many

#: Schedules in one transaction.
BATCH = 250
#: After an error that nobody expected a schedule is tried again this much later.
AGAIN = dt.timedelta(seconds=30)


class _Owner(NamedTuple):
    """A user, of whom nothing else is asked."""

    pk: Any


@dataclass
class Round:
    """A schedule of a batch, and what becomes of it."""

    row: Schedule
    due: list[Due] = field(default_factory=list)
    next_at: dt.datetime | None = None
    #: The ids that the jobs of its ticks will have, by their times.
    jobs: dict[dt.datetime, uuid.UUID] = field(default_factory=dict)
    #: The last job, which the next one takes the place of.
    replaces: uuid.UUID | None = None
    #: Of these the ones whose ticks this transaction inserted, and the jobs that were submitted for them.
    won: set[uuid.UUID] = field(default_factory=set)
    became: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    #: Why a job was left out that would not have been unique.
    note: str = ""
    held: str = ""
    #: When it is looked at again, in spite of being held.
    again_at: dt.datetime | None = None

    @property
    def last_at(self) -> dt.datetime | None:
        """The latest time that something became of."""
        return self.due[-1].at if self.due and not self.held else None


def fire_due(failed: Callable[[str, Exception], None]) -> int:
    """Fire a batch of those that are due; returns how many schedules that were.

    Args:
        failed: is told of what, and of an exception that nobody expected; that schedule is tried again later.

    Raises:
        django.db.Error: the database is away.
    """
    with atomic():
        now = statements.on(connection).clock(connection)
        due = Schedule.objects.filter(fire_at__lte=now).order_by("fire_at", "pk").select_for_update(skip_locked=True)
        rounds = [_planned(row, now, failed) for row in due[:BATCH]]
        if rounds:
            fire(rounds, now, failed)
        return len(rounds)


def fire(rounds: list[Round], now: dt.datetime, failed: Callable[[str, Exception], None]) -> None:
    """Make ticks and jobs of these, whose rows this transaction has locked."""
    _look_at_overlaps(rounds)
    won = _tick(rounds)
    for group in _groups(rounds):
        _submit(group, won, now, failed)
    tell_ticks(rounds)
    statements.on(connection).move_schedules(connection, [_moved(one) for one in rounds])


def make(rounds: list[Round], by: Any = None) -> list[uuid.UUID]:
    """Make ticks and jobs of these, which people chose, in the caller's transaction; returns the jobs' ids. ``by``: the user
    who submits them.

    Raises:
        FurrowError: one cannot be submitted.
    """
    won = _tick(rounds)
    for group in _groups(rounds):
        _submit_all(group, won, by)
    tell_ticks(rounds)
    return [job for one in rounds for job in one.became.values()]


def _planned(row: Schedule, now: dt.datetime, failed: Callable[[str, Exception], None]) -> Round:
    if row.paused_at is not None or row.orphaned_at is not None:  # since its next time was written
        return Round(row, next_at=row.next_at)
    try:
        found = plan(row, now)
    except RecurrenceError as error:
        return Round(row, next_at=row.next_at, held=str(error)[:500])
    except Exception as error:  # a row that nobody expected bars no others
        failed("times of a schedule", error)
        return Round(row, next_at=row.next_at, held=f"{type(error).__name__}: {error}"[:500], again_at=now + AGAIN)
    return Round(row, found.due, found.next_at)


# --- Ticks --------------------------------------------------------------------------------------------------------------------


def _look_at_overlaps(rounds: list[Round]) -> None:
    """Those whose last job has not ended skip this time, or take that job's place; of several times at once one goes on."""
    lasting = {Overlap.SKIP, Overlap.CANCEL}
    last = [one.row.last_job for one in rounds if one.row.overlap in lasting and one.row.last_job]
    open_jobs = set(Job.objects.filter(pk__in=last).exclude(state__in=FINAL).values_list("pk", flat=True)) if last else set()
    for one in rounds:
        if one.row.overlap not in lasting:
            continue
        fires = [due for due in one.due if due.outcome == Tick.Outcome.FIRED]
        is_open = one.row.last_job in open_jobs
        if one.row.overlap == Overlap.SKIP:
            kept, why = fires[: 0 if is_open else 1], "the job before it had not ended"
        else:
            kept, why = fires[-1:], "a later one took its place"
            one.replaces = one.row.last_job if is_open else None
        one.due = [due if due in kept or due not in fires else _skipped(due, why) for due in one.due]


def _skipped(due: Due, why: str) -> Due:
    return Due(due.at, due.origin, Tick.Outcome.SKIPPED, due.missed, why)


def _tick(rounds: list[Round]) -> set[uuid.UUID]:
    """Insert the ticks; returns the ids of the jobs that are to be made."""
    ticks = []
    for one in rounds:
        for due in one.due:
            job = one.jobs[due.at] = new_id()
            given = job if due.outcome == Tick.Outcome.FIRED else None
            ticks.append(
                statements.NewTick(one.row.pk, due.at, given, str(due.outcome), str(due.origin), due.missed, due.note[:200])
            )
    won = statements.on(connection).insert_ticks(connection, ticks) if ticks else set()
    for one in rounds:
        one.won = won.intersection(one.jobs.values())
    return won


# --- Jobs ---------------------------------------------------------------------------------------------------------------------


def _groups(rounds: Iterable[Round]) -> list[list[Round]]:
    """Those that can be submitted at once: of one kind, with the same options, in one name."""
    groups: dict[tuple[str, str, Any], list[Round]] = {}
    for one in rounds:
        if one.due:
            alike = one.row.kind, json.dumps(options_of(one.row), sort_keys=True), one.row.submitted_by_id
            groups.setdefault(alike, []).append(one)
    return list(groups.values())


def _submit(group: list[Round], won: set[uuid.UUID], now: dt.datetime, failed: Callable[[str, Exception], None]) -> None:
    """Submit the jobs of a group; where that is refused, those of each schedule by themselves."""
    try:
        with atomic():
            _submit_all(group, won)
    except Exception as error:
        if isinstance(error, OperationalError | InterfaceError) and not sessions.contended(error):
            raise
        if len(group) > 1:
            for one in group:
                _submit([one], won, now, failed)
        else:
            _refused(group[0], error, now, failed)


def _submit_all(group: list[Round], won: set[uuid.UUID], by: Any = None) -> None:
    rows = [(job, one) for one in group for job in one.jobs.values() if job in won]
    if not rows:
        return
    for _, one in rows:
        if one.replaces is not None:
            cancel(one.replaces, reason=f"the next job of schedule {one.row.name} took its place")
    options: dict[str, Any] = options_of(group[0].row)
    ids, owner = [job for job, _ in rows], group[0].row.submitted_by_id
    if by is None and owner is not None:
        by = _Owner(owner)
    given = submit_many(
        get_kind(group[0].row.kind), [one.row.arguments for _, one in rows], ids=ids, submitted_by=by, **options
    )
    for (job, one), found in zip(rows, given, strict=True):
        one.row.last_job = found
        one.became[job] = found
        if found != job:  # of a unique kind, whose job was there
            Tick.objects.filter(job=job).update(job=found)


def _refused(one: Round, error: Exception, now: dt.datetime, failed: Callable[[str, Exception], None]) -> None:
    """Its times are kept, and it waits until it can submit; a job that would not be unique is left out."""
    mine = Tick.objects.filter(schedule=one.row, job__in=one.jobs.values())
    one.became.clear()
    if isinstance(error, NotUnique):
        one.note = str(error)[:200]
        mine.update(job=None, outcome=Tick.Outcome.SKIPPED, note=one.note)
        return
    mine.delete()
    one.next_at, one.held = one.row.next_at, str(error)[:500]
    if not isinstance(error, FurrowError) or isinstance(error, Error):
        one.held, one.again_at = f"{type(error).__name__}: {error}"[:500], now + AGAIN
        failed("submit of a schedule", error)


def _moved(one: Round) -> statements.Rescheduled:
    fires = one.next_at is not None and not one.held and one.row.paused_at is None and one.row.orphaned_at is None
    fire_at = one.next_at + jitter_of(one.row) if fires and one.next_at is not None else one.again_at
    return statements.Rescheduled(one.row.pk, one.next_at, fire_at, one.last_at, one.row.last_job, one.held)
