"""Plan: which times of a schedule have come, and what becomes of those that were missed. Reads and writes nothing."""

import datetime as dt
from dataclasses import dataclass, replace
from itertools import islice

from furrow.models import Schedule, Tick
from furrow.schedule import LONGEST_WINDOW, CatchUp
from furrow.schedules.rows import TINY, jitter_of, next_time, times_of

#: A time that was met by this much late was not missed: a dispatcher that takes over needs some seconds.
GRACE = dt.timedelta(seconds=60)
#: Times of one schedule in one round; missed ones are counted up to this number.
MOST, COUNTED = 100, 1_000


@dataclass(frozen=True)
class Due:
    """A time that has come, and what is to become of it."""

    at: dt.datetime
    origin: str = Tick.Origin.TIME
    outcome: str = Tick.Outcome.FIRED
    #: Earlier times for which it stands.
    missed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """What is to be done about a schedule now."""

    due: list[Due]
    #: The first time that nothing became of yet; ``None``: there is none.
    next_at: dt.datetime | None


def plan(row: Schedule, now: dt.datetime) -> Plan:
    """What has come of the times of this schedule.

    Raises:
        RecurrenceError: it has no times.
    """
    if row.next_at is None:
        return Plan([], next_time(row, now))
    reached = now - jitter_of(row)
    due = _due(row, row.next_at, reached, min(reached, row.ends_at) if row.ends_at else reached)
    return Plan(due, next_time(row, due[-1].at) if due else row.next_at if row.next_at > reached else next_time(row, reached))


def _due(row: Schedule, first: dt.datetime, reached: dt.datetime, end: dt.datetime) -> list[Due]:
    times, late = times_of(row), reached - GRACE
    if first > late:
        return [Due(at) for at in islice(times.between(first - TINY, end), MOST)]
    window = max(first - TINY, min(late, reached - dt.timedelta(seconds=min(LONGEST_WINDOW, row.catch_up_window))))
    if row.catch_up == CatchUp.ALL:
        caught = list(islice(times.between(window, end), MOST))
        found = [Due(at, Tick.Origin.CATCH_UP if at <= late else Tick.Origin.TIME) for at in caught]
        return [*_missed(row, first, min(window, end), "it was missed by more than its window"), *found]
    on_time = [Due(at) for at in islice(times.between(late, end), MOST)]
    latest = times.last(min(late, end), window)
    if row.catch_up == CatchUp.NONE or (latest is None and not on_time):
        why = "it was missed" if row.catch_up == CatchUp.NONE else "it was missed by more than its window"
        return [*_missed(row, first, min(late, end), why), *on_time]
    count = _count(row, first, min(late, end))
    if on_time:
        return [replace(on_time[0], missed=count), *on_time[1:]]
    assert latest is not None
    return [Due(latest, Tick.Origin.CATCH_UP, missed=max(0, count - 1))]


def _missed(row: Schedule, first: dt.datetime, end: dt.datetime, why: str) -> list[Due]:
    """One tick without a job for all times from the first one up to this one; none where there is none."""
    last = times_of(row).last(end, first - TINY)
    if last is None:
        return []
    return [Due(last, outcome=Tick.Outcome.MISSED, missed=max(0, _count(row, first, last) - 1), note=why)]


def _count(row: Schedule, first: dt.datetime, end: dt.datetime) -> int:
    return sum(1 for _ in islice(times_of(row).between(first - TINY, end), COUNTED))
