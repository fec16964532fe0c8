"""Schedules for the tests: rows whose time has come, or came a while ago."""

import datetime as dt
from typing import Any

from django.db import connection
from furrow import statements
from furrow.models import Schedule, Tick
from furrow.schedules.firing import fire_due
from furrow.schedules.rows import place

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


def now() -> dt.datetime:
    """The database's time."""
    found: dt.datetime = statements.on(connection).clock(connection)
    return found


def due(name: str = "it", ago: dt.timedelta = dt.timedelta(0), **columns: Any) -> Schedule:
    """A schedule whose next time is the last full minute, or the one so long ago."""
    moment = (now() - ago).replace(second=0, microsecond=0)
    given = {"kind": "kinds.noop", "timing": "* * * * *", **columns}
    row = Schedule(name=name, **given)
    place(row, columns.get("next_at", moment))
    row.save()
    return row


def fire() -> int:
    """Fire all that is due; how many schedules that was. An exception that nobody expected is raised."""

    def failed(what: str, error: Exception) -> None:
        raise error

    fired = 0
    while more := fire_due(failed):
        fired += more
    return fired


def ticks(row: Schedule) -> list[tuple[str, str, int]]:
    """What became of its times, in their order: the outcome, why it was looked at, what it stands for."""
    return list(Tick.objects.filter(schedule=row).order_by("due_at").values_list("outcome", "origin", "missed"))
