"""Time that is moved. The engine goes by the database's clock, which no test can set; so its rows grow older instead."""

import datetime as dt

from django.db.models import DateTimeField, F

from furrow import statements
from furrow.models import Attempt, Hold, Job, LogLine, Signal, Step
from furrow.models.database import atomic, connection


def advance(by: dt.timedelta | float) -> None:
    """Let so much time pass (seconds or timedelta) for all jobs: what was due in a minute is due now::

        charge.apply_async((7,), countdown=60)
        assert drain().runs == 0
        advance(60)
        assert drain().succeeded == 1

    Every time in the rows of jobs, attempts, log lines and limits is set so much earlier; so retries and snoozed jobs become
    due, jobs expire, keys that are unique for a time and slots of rates fall free. Clocks stay as they are: a handler that
    asks ``timezone.now()`` gets what it always gets.
    """
    span = by if isinstance(by, dt.timedelta) else dt.timedelta(seconds=by)
    if span < dt.timedelta():
        raise ValueError(f"advance({by!r}): time does not go back")
    with atomic():
        for model in (Job, Attempt, LogLine, Hold, Step, Signal):
            times = [field.name for field in model._meta.concrete_fields if isinstance(field, DateTimeField)]
            model._base_manager.update(**{name: F(name) - span for name in times})


def travel(to: dt.datetime) -> None:
    """:func:`advance` to this time, by the database's clock::

    job = charge.apply_async((7,), eta=tomorrow)
    travel(tomorrow)
    assert drain().succeeded == 1
    """
    advance(seconds_of(to))


def seconds_of(until: dt.datetime | dt.timedelta | float) -> float:
    """From now on, by the database's clock."""
    if isinstance(until, dt.datetime):
        now: dt.datetime = statements.on(connection).clock(connection)
        return max(0.0, (until - now).total_seconds())
    return until.total_seconds() if isinstance(until, dt.timedelta) else float(until)
