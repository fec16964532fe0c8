"""From Celery's beat: what its settings and django-celery-beat's tables have, as schedules.

The tables are read by their names, so that the application need not be installed any more; of the settings what the project's
Celery application knows. Nothing there is changed.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from furrow import statements
from furrow.errors import FurrowError, UnknownKind
from furrow.kinds.kind import get_kind
from furrow.models import Schedule
from furrow.models.database import atomic, connection
from furrow.rabbitmq.queues import project_app
from furrow.recurrence import RecurrenceError, every, recurrence, zone_of
from furrow.schedules.rows import check_options, stored
from furrow.schedules.sync import plan_anew
from furrow.schedules.telling import tell_of

_TASKS = "django_celery_beat_periodictask"
_SHAPES = {
    "crontab": ("crontabschedule", "minute, hour, day_of_month, month_of_year, day_of_week, timezone"),
    "interval": ("intervalschedule", "every, period"),
    "clocked": ("clockedschedule", "clocked_time"),
}
_SOLAR = "it follows the sun, which no schedule of Furrow's does: choose fixed times"


class _Refused(Exception):
    """Why an entry cannot be a schedule."""


@dataclass(frozen=True)
class Entry:
    """One of beat's, and the schedule that it becomes."""

    name: str
    #: ``settings`` or ``table``.
    source: str
    row: Schedule | None
    #: Why it becomes none.
    problem: str = ""
    #: What is left out of it.
    remark: str = ""


def entries() -> list[Entry]:
    """All of beat's, in the order of their names."""
    taken = set(Schedule.objects.values_list("name", flat=True))
    found = []
    for name, source, given in sorted((*_of_settings(), *_of_tables()), key=lambda one: one[:2]):
        try:
            if name in taken:
                raise _Refused("a schedule of this name is there already")
            row, remark = _row(name, given)
            taken.add(name)
            found.append(Entry(name, source, row, remark=remark))
        except (_Refused, RecurrenceError, FurrowError) as error:
            found.append(Entry(name, source, None, str(error)))
    return found


def take_over(found: list[Entry]) -> list[Schedule]:
    """Write those that can be; returns their rows. One that beat has switched off is paused."""
    rows = [entry.row for entry in found if entry.row is not None]
    with atomic():
        now = statements.on(connection).clock(connection)
        for row in rows:
            plan_anew(row, now)
            row.save()
        tell_of(rows, "added")
    return rows


# --- What beat has --------------------------------------------------------------------------------------------------------


def _of_settings() -> Iterator[tuple[str, str, dict[str, Any]]]:
    app = project_app()
    zone = str(app.conf.timezone or "UTC")
    for name, entry in (app.conf.beat_schedule or {}).items():
        options = dict(entry.get("options") or {})
        given = {"task": entry.get("task"), "args": entry.get("args") or (), "kwargs": entry.get("kwargs") or {}}
        given |= {"when": entry.get("schedule"), "zone": zone, "queue": options.pop("queue", None)}
        yield str(name), "settings", {**given, "expires": options.pop("expires", None), "left": options}


def _of_tables() -> Iterator[tuple[str, str, dict[str, Any]]]:
    with connection.cursor() as cursor:
        if _TASKS not in connection.introspection.table_names(cursor):
            return
        cursor.execute(
            f"""SELECT name, task, args, kwargs, queue, expire_seconds, one_off, start_time || '', enabled, priority,
                 crontab_id, interval_id, clocked_id, solar_id FROM {_TASKS} WHERE task <> 'celery.backend_cleanup'"""
        )
        tasks = cursor.fetchall()
        for name, task, args, kwargs, queue, expires, one_off, start, enabled, priority, *kinds in tasks:
            given: dict[str, Any] = {"task": task, "queue": queue, "expires": expires, "enabled": enabled, "zone": "UTC"}
            given |= {"one_off": one_off, "start": start, "left": {} if priority is None else {"priority": priority}}
            given |= {"args": _json(args, []), "kwargs": _json(kwargs, {}), "solar": kinds[3]}
            for (shape, (table, columns)), id in zip(_SHAPES.items(), kinds, strict=False):
                if id is not None:
                    cursor.execute(f"SELECT {columns} FROM django_celery_beat_{table} WHERE id = %s", (id,))
                    given[shape] = cursor.fetchone()
            yield name, "table", given


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text) if text else otherwise
    except (ValueError, RecursionError):
        return None


# --- What becomes of it ---------------------------------------------------------------------------------------------------


def _row(name: str, given: Mapping[str, Any]) -> tuple[Schedule, str]:
    """The schedule, and what is left out of it.

    Raises:
        _Refused, RecurrenceError, FurrowError: it cannot be one.
    """
    try:
        kind = get_kind(str(given["task"]))
    except UnknownKind:
        text = f"{given['task']} is no kind of job, and a schedule submits jobs: declare it with @job, under this name"
        raise _Refused(text) from None
    text, zone = _timing(given)
    starts_at = _aware(given["start"]) if given.get("start") else None
    times = recurrence(text, zone, starts_at)
    if given.get("one_off") and not text.startswith("@at"):
        first = times.after(
            max(statements.on(connection).clock(connection), starts_at or dt.datetime.min.replace(tzinfo=dt.UTC))
        )
        if first is None:
            raise _Refused("it has no time any more")
        text = f"@at {first.isoformat()}"
    args, kwargs = given["args"], given["kwargs"]
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
        raise _Refused("its args are no JSON list, or its kwargs no JSON object")
    options = {"queue": given.get("queue"), "expires": _seconds(given.get("expires"))}
    options = {option: value for option, value in options.items() if value is not None}
    check_options(kind, options)
    paused = given.get("enabled") in (False, 0)
    row = Schedule(name=name[:200], kind=kind.name, timing=text, timezone=zone, options=options, starts_at=starts_at)
    row.arguments = stored(kind, kind.arguments.bind(args, kwargs))
    if paused:
        row.paused_at, row.reason = statements.on(connection).clock(connection), "switched off in beat"
    left = sorted(given["left"])
    return row, f"left out: {', '.join(left)}" if left else ""


def _timing(given: Mapping[str, Any]) -> tuple[str, str]:
    """As our text, with its zone."""
    if given.get("solar") is not None:
        raise _Refused(_SOLAR)
    if given.get("crontab"):
        *fields, zone = given["crontab"]
        return _cron([str(one) for one in fields]), _zone(str(zone))
    if given.get("interval"):
        count, period = given["interval"]
        return every(dt.timedelta(**{str(period): float(count)})), "UTC"
    if given.get("clocked"):
        return f"@at {_aware(given['clocked'][0]).isoformat()}", "UTC"
    when = given.get("when")
    if isinstance(when, (int, float)) and not isinstance(when, bool):
        when = dt.timedelta(seconds=when)
    if isinstance(when, dt.timedelta):
        return every(when), "UTC"
    name = type(when).__name__  # Celery's classes, which are not for this room
    if name == "crontab":
        parts = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        return _cron([str(getattr(when, f"_orig_{part}")) for part in parts]), _zone(str(given["zone"]))
    if name == "schedule" and isinstance(span := getattr(when, "run_every", None), dt.timedelta):
        return every(span), "UTC"
    raise _Refused(_SOLAR if name == "solar" else f"its schedule is a {name}, which is unknown here")


def _cron(fields: list[str]) -> str:
    """Celery wants both days to match, where cron takes either."""
    fields = [field.replace(" ", "") for field in fields]
    if not (fields[2].startswith("*") or fields[4].startswith("*")):
        raise _Refused(
            "it names days of the month and days of the week: Celery wants both, cron takes either; name one of them"
        )
    return " ".join(fields)


def _zone(name: str) -> str:
    zone_of(name)
    return name


def _aware(moment: Any) -> dt.datetime:
    found = moment if isinstance(moment, dt.datetime) else dt.datetime.fromisoformat(str(moment))
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _seconds(expires: Any) -> float | None:
    return float(expires) if isinstance(expires, (int, float)) and not isinstance(expires, bool) and expires > 0 else None
