"""What people see of schedules: when they come next, what became of the last times, how punctual they are."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from furrow.models import Job, Schedule, Tick
from furrow.recurrence import Recurrence, RecurrenceError, recurrence
from furrow.schedules.rows import TINY, jitter_of, next_time, times_of

#: Ticks of a sparkline, and next times of a page.
LAST, NEXT = 20, 5


@dataclass(frozen=True)
class Shown:
    """A tick, as pages show it."""

    due_at: dt.datetime
    #: The job's state, where it has one that is still there; else what became of the tick.
    word: str
    tick: Tick
    #: Seconds after its time (and jitter) at which it was submitted.
    late: float

    @property
    def has_job(self) -> bool:
        """Its job is still there."""
        return self.word not in (Tick.Outcome.SKIPPED, Tick.Outcome.MISSED, "deleted")


def next_times(row: Schedule, now: dt.datetime, many: int = NEXT) -> list[dt.datetime]:
    """When it comes next, if nothing keeps it from that; a time that has not been looked at yet is among them."""
    try:
        moment = row.next_at - TINY if row.next_at is not None and row.fire_at is not None else now
        found: list[dt.datetime] = []
        while len(found) < many:
            following = next_time(row, moment)
            if following is None:
                break
            found.append(following)
            moment = following
    except RecurrenceError:
        return []
    return found


def preview(text: str, zone: str, starts_at: dt.datetime | None, now: dt.datetime) -> tuple[str, list[dt.datetime]]:
    """What a text means: in words, and the next times.

    Raises:
        RecurrenceError: it means none.
    """
    found: Recurrence = recurrence(text, zone, starts_at)
    start = max(now, starts_at - TINY) if starts_at else now
    return found.words(), list(islice(found.between(start, dt.datetime.max.replace(tzinfo=dt.UTC)), NEXT))


def words(row: Schedule) -> str:
    """When it comes, for people; of a text that means nothing the text."""
    try:
        return times_of(row).words()
    except RecurrenceError:
        return row.timing


def condition(row: Schedule) -> str:
    """In a word: ``on``, ``paused``, ``orphaned``, ``held``, ``over``."""
    if row.orphaned_at is not None:
        return "orphaned"
    if row.paused_at is not None:
        return "paused"
    if row.held:
        return "held"
    return "over" if row.fire_at is None else "on"


def why(row: Schedule) -> str:
    """Why it does not fire, with the remedy; empty when it does."""
    found = condition(row)
    if found == "orphaned":
        return "The code does not declare it any more: it fires no more. Declare it again, or delete it."
    if found == "paused":
        return f"Paused{f' by {row.paused_by}' if row.paused_by else ''}{f': {row.reason}' if row.reason else ''}."
    if found == "held":
        return f"It cannot submit: {row.held.rstrip('.?')}. Its time is kept until it can."
    return "It has no further time." if found == "over" else ""


def last_ticks(rows: Iterable[Schedule], many: int = LAST) -> dict[int, list[Shown]]:
    """The last times of each schedule, the oldest first."""
    found = {row.pk: list(Tick.objects.filter(schedule=row).order_by("-due_at")[:many]) for row in rows}
    states = dict(
        Job.objects.filter(pk__in=[tick.job for ticks in found.values() for tick in ticks if tick.job])
        .order_by()
        .values_list("pk", "state")
    )
    return {row.pk: [_shown(row, tick, states) for tick in reversed(found[row.pk])] for row in rows}


def _shown(row: Schedule, tick: Tick, states: Mapping[uuid.UUID, str]) -> Shown:
    word = str(states.get(tick.job, "deleted")) if tick.job else tick.outcome
    late = (tick.fired_at - tick.due_at - jitter_of(row)).total_seconds() if tick.origin == Tick.Origin.TIME else 0.0
    return Shown(tick.due_at, word, tick, max(0.0, late))
