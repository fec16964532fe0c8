"""How SQLite has times and ids here: texts that Django reads as well."""

import datetime as dt
import sqlite3
import time
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from furrow.calendar import nearest, stand_in


def text(moment: float) -> str:
    """Seconds since the epoch as Django stores a time."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def stored(moment: dt.datetime | None) -> str | None:
    """An aware time as Django stores it with ``USE_TZ``, whether or not the project has that."""
    return None if moment is None else str(moment.astimezone(dt.UTC).replace(tzinfo=None))


def seconds(moment: str) -> float:
    """A stored time as seconds since the epoch."""
    return read(moment).replace(tzinfo=dt.UTC).timestamp()


def read(stored: str) -> dt.datetime:
    """A stored time without its zone, which is UTC; of a text that is none the nearest to what it may mean."""
    try:
        found = parse_datetime(stored)
    except (ValueError, TypeError):
        found = None
    return nearest(stand_in(str(stored)) if found is None else found).replace(tzinfo=None)


def read_any_time(connection: Connection) -> None:
    """Whatever stands in a column of times is read as a time."""
    for name in ("datetime", "timestamp"):  # Django's converters, which are the process's
        sqlite3.register_converter(name, lambda stored: read(stored.decode(errors="replace")))

    def converted(value: Any, expression: object, link: Connection) -> Any:
        found = value if value is None or isinstance(value, dt.datetime) else read(value)
        return timezone.make_aware(found, link.timezone) if found and settings.USE_TZ and timezone.is_naive(found) else found

    setattr(connection.ops, "convert_datetimefield_value", converted)  # noqa: B010 - of this connection alone


def now() -> str:
    """Now, as it is stored."""
    return text(time.time())


def bare(id: str) -> str:
    """An id as it is stored."""
    return id.replace("-", "")
