"""What the row of a schedule means: its times, its jitter, and why it cannot submit."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from furrow.errors import FurrowError, InputError
from furrow.kinds.kind import Kind, get_kind
from furrow.models import Schedule
from furrow.recurrence import Recurrence, RecurrenceError, recurrence
from furrow.schedule import LONGEST_JITTER, OPTIONS, Overlap
from furrow.submission import options as submit_options

#: The least that two times differ by.
TINY = dt.timedelta(microseconds=1)
NO_TIMES = "nothing is due between starts_at and ends_at"


def times_of(row: Schedule) -> Recurrence:
    """Its times.

    Raises:
        RecurrenceError: it has none.
    """
    return recurrence(row.timing, row.timezone, row.starts_at)


def jitter_of(row: Schedule) -> dt.timedelta:
    """By how much later than its times it submits: a part of its jitter that is always the same."""
    part = int.from_bytes(hashlib.sha256(row.name.encode(errors="replace")).digest()[:8]) / 2**64
    return dt.timedelta(milliseconds=int(part * min(LONGEST_JITTER, row.jitter) * 1000))


def next_time(row: Schedule, moment: dt.datetime) -> dt.datetime | None:
    """Its first time after this one, between its start and its end; ``None`` when there is none.

    Raises:
        RecurrenceError: it has none.
    """
    if row.starts_at is not None:
        moment = max(moment, row.starts_at - TINY)
    found = times_of(row).after(moment)
    return None if found is None or (row.ends_at is not None and found > row.ends_at) else found


def place(row: Schedule, next_at: dt.datetime | None) -> None:
    """Its next time is this one; unless it is paused, orphaned or held the dispatcher looks at it then."""
    row.next_at = next_at
    fires = next_at is not None and row.paused_at is None and row.orphaned_at is None and not row.held
    row.fire_at = next_at + jitter_of(row) if fires and next_at is not None else None


def stored(kind: Kind, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as a row has them: checked, secrets marked as such, defaults left to each submit.

    Raises:
        ArgumentError: names each argument at fault.
    """
    whole = json.loads(kind.arguments.to_json(arguments))
    return {name: whole[name] for name in arguments}


def options_of(row: Schedule) -> dict[str, Any]:
    """The options of its submits."""
    given = {name: row.options[name] for name in OPTIONS if row.options.get(name) is not None}
    return given | ({"ordered": f"schedule:{row.pk}"} if row.overlap == Overlap.QUEUE else {})


def problem_of(row: Schedule) -> str:
    """Why it cannot submit; empty when it can."""
    try:
        times_of(row)
        kind = get_kind(row.kind)
        kind.arguments.to_json(row.arguments)
        check_options(kind, options_of(row))
    except (FurrowError, RecurrenceError) as error:
        return str(error)
    return ""


def check_options(kind: Kind, given: Mapping[str, Any]) -> None:
    """Raises OptionError, which names what is wrong with these options of a submit."""
    names = ("queue", "priority", "expires", "max_attempts")
    queue, priority, expires, attempts = (given.get(name) for name in names)
    submit_options.columns(kind, queue, priority, None, None, expires, attempts, None, None)
    submit_options.tags_column(kind, given.get("tags", ()))
    submit_options.given_meta(kind, given.get("meta"))


def usual_timezone() -> str:
    """Where the hours of a schedule are that names no zone."""
    return settings.TIME_ZONE or "UTC"


def moment_of(name: str, given: Any) -> dt.datetime:
    """A time that a program gives, in UTC.

    Raises:
        InputError: it is none, or has no zone.
    """
    try:
        moment = given if isinstance(given, dt.datetime) else dt.datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            return moment.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError({name: f"{str(given)[:60]!r} is no time with a zone: write it as 2030-01-31T18:00:00Z"})
