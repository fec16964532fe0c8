"""Load: how many jobs schedules submit in each minute of a day: what was, and what comes."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field

from furrow.models import Schedule, Tick
from furrow.recurrence import RecurrenceError
from furrow.schedules.rows import TINY, jitter_of, next_time

#: Coming times that are counted; past ones; names that are kept of one minute.
MOST, MOST_PAST, NAMES = 100_000, 500_000, 5


@dataclass
class Minute:
    """What schedules submit in it."""

    count: int = 0
    #: The most that one of them was late by, in seconds.
    late: float = 0.0
    names: list[str] = field(default_factory=list)

    def add(self, name: str, late: float = 0.0) -> None:
        """One more."""
        self.count += 1
        self.late = max(self.late, late)
        if len(self.names) < NAMES and name not in self.names:
            self.names.append(name)


def load(start: dt.datetime, end: dt.datetime, now: dt.datetime) -> tuple[dict[dt.datetime, Minute], bool]:
    """The minutes of a span in which something was or will be submitted; and whether that is all of it."""
    minutes: dict[dt.datetime, Minute] = defaultdict(Minute)
    rows = {row.pk: row for row in Schedule.objects.all()}
    past = Tick.objects.filter(outcome=Tick.Outcome.FIRED, origin=Tick.Origin.TIME, due_at__gte=start - dt.timedelta(days=1))
    ticks = past.filter(due_at__lt=end, due_at__lte=now).order_by().values_list("schedule_id", "due_at", "fired_at")
    for schedule, due_at, fired_at in ticks[:MOST_PAST].iterator(2_000):
        if (row := rows.get(schedule)) is not None and start <= (moment := due_at + jitter_of(row)) < end:
            minutes[_minute(moment)].add(row.name, (fired_at - moment).total_seconds())
    left = MOST
    for row in rows.values():
        jitter = jitter_of(row)
        moment = max(start, now) - jitter - TINY
        while row.fire_at is not None and left > 0:
            try:
                following = next_time(row, moment)
            except RecurrenceError:
                break
            if following is None or following + jitter >= end:
                break
            moment = following
            minutes[_minute(moment + jitter)].add(row.name)
            left -= 1
    return dict(minutes), left > 0


def _minute(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(second=0, microsecond=0)
