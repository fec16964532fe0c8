"""What people do to schedules: pause, resume, run now, backfill, delete. Who calls has looked at permissions, and audits."""

import datetime as dt
import uuid
from itertools import islice
from typing import Any

from furrow import statements
from furrow.errors import InputError
from furrow.models import Schedule, Tick
from furrow.models.database import atomic, connection
from furrow.recurrence import RecurrenceError
from furrow.schedules.firing import Round, make
from furrow.schedules.plan import Due
from furrow.schedules.rows import TINY, next_time, place, problem_of, times_of
from furrow.schedules.telling import tell_of

#: Jobs of one backfill at most, and how far ahead of now one may reach.
MOST = 10_000


def pause(row: Schedule, *, by: str = "", reason: str = "") -> bool:
    """It fires no more. ``False`` when it was paused already."""
    paused, reason = Schedule.objects.filter(pk=row.pk, paused_at=None), reason.replace("\0", "")[:500]
    with atomic():
        now = statements.on(connection).clock(connection)
        done = bool(paused.update(paused_at=now, fire_at=None, paused_by=by[:150], reason=reason))
        if done:
            tell_of([row], "paused", by=by[:150], reason=reason)
    return done


def resume(row: Schedule) -> bool:
    """It goes on with its next time; those of the pause are not caught up. ``False`` when it was not paused."""
    with atomic():
        found = Schedule.objects.select_for_update().filter(pk=row.pk, paused_at__isnull=False).first()
        if found is None:
            return False
        found.paused_at, found.paused_by, found.reason = None, "", ""
        found.held = problem_of(found)[:500]
        try:
            place(found, next_time(found, statements.on(connection).clock(connection)))
        except RecurrenceError:
            place(found, None)
        found.save(update_fields=["paused_at", "paused_by", "reason", "held", "next_at", "fire_at"])
        tell_of([found], "resumed")
    return True


def run_now(row: Schedule, *, by: Any = None) -> uuid.UUID:
    """Submit its job now, whatever its times, its pause and its overlap say; returns the job's id. ``by``: the user who does.

    Raises:
        FurrowError: it cannot be submitted.
    """
    with atomic():
        found = Schedule.objects.select_for_update().get(pk=row.pk)
        now = statements.on(connection).clock(connection)
        one = Round(found, [Due(now, Tick.Origin.RUN_NOW)])
        make([one], by)
        Schedule.objects.filter(pk=row.pk).update(last_job=found.last_job)
    assert found.last_job is not None
    return found.last_job


def missing(row: Schedule, start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    """The times from ``start`` to ``end`` that have no job: what a backfill of that span would submit.

    Raises:
        InputError: the span cannot be.
    """
    now = statements.on(connection).clock(connection)
    wrong = {}
    for name, moment in (("start", start), ("end", end)):
        if moment.utcoffset() is None:
            wrong[name] = f"{moment.isoformat()} has no time zone"
    if not wrong and end < start:
        wrong["end"] = "is before the start"
    if not wrong and end > now:
        wrong["end"] = f"lies ahead: a backfill ends at {now.isoformat(timespec='seconds')} at the latest"
    if wrong:
        raise InputError(wrong)
    try:
        found = list(islice(times_of(row).between(start - TINY, end), MOST + 1))
    except RecurrenceError as error:
        raise InputError({"timing": str(error)}) from None
    if len(found) > MOST:
        raise InputError({"end": f"there are more than {MOST:,} times in this span: give a shorter one"})
    taken = set(
        Tick.objects.filter(schedule=row, due_at__gte=start, due_at__lte=end, job__isnull=False).values_list(
            "due_at", flat=True
        )
    )
    return [moment for moment in found if moment not in taken]


def backfill(row: Schedule, start: dt.datetime, end: dt.datetime, *, by: Any = None) -> list[uuid.UUID]:
    """Submit a job for each time from ``start`` to ``end`` that has none, in one transaction; returns their ids. Its own start,
    end, pause and overlap do not matter. ``by``: the user who submits them.

    Raises:
        InputError: the span cannot be.
        FurrowError: they cannot be submitted.
    """
    with atomic():
        found = Schedule.objects.select_for_update().get(pk=row.pk)
        times = missing(found, start, end)
        Tick.objects.filter(schedule=found, due_at__gte=start, due_at__lte=end, job=None).delete()
        one = Round(found, [Due(moment, Tick.Origin.BACKFILL) for moment in times])
        return make([one], by)


def delete(row: Schedule) -> bool:
    """Delete it, with its ticks. ``False``: it is gone.

    Raises:
        InputError: the code declares it.
    """
    if row.source == Schedule.Source.CODE and row.orphaned_at is None:
        raise InputError({"schedule": f"{row.name} is declared in the code: remove it there, or pause it"})
    with atomic():
        done = bool(Schedule.objects.filter(pk=row.pk).delete()[1].get("furrow.Schedule"))
        if done:
            tell_of([row], "deleted")
    return done
