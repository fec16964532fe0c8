"""How times are read that PostgreSQL can hold and Python cannot."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg import DataError
from psycopg.abc import Buffer
from psycopg.postgres import types
from psycopg.pq import Format

from furrow.calendar import nearest, stand_in


def read_any_time(connection: Connection) -> None:
    """``infinity`` and years that Python does not know are read as the nearest time that it does know."""

    class Loader(BaseTzLoader):  # type: ignore[misc]  # of psycopg, by way of Django, which has no types for it
        timezone = connection.timezone

        def load(self, data: Buffer) -> dt.datetime:
            try:
                return nearest(super().load(data))
            except DataError:
                found = stand_in(bytes(data).decode())
                return found.astimezone(self.timezone) if self.timezone else found.replace(tzinfo=None)

    connection.connection.adapters.register_loader("timestamptz", Loader)


def reading_times(connection: Connection) -> Any:
    """A cursor that reads aware times, also in a project with ``USE_TZ = False``, where Django's reads naive ones."""
    cursor = connection.cursor()
    if not settings.USE_TZ:
        adapters = cursor.cursor.adapters
        loader = adapters.get_loader(types["timestamptz"].oid, Format.TEXT)

        class Aware(loader):  # type: ignore[misc, valid-type]
            timezone = ZoneInfo(connection.timezone_name)

            def load(self, data: Buffer) -> dt.datetime:
                found: dt.datetime = super().load(data)
                return found.astimezone(dt.UTC)

        adapters.register_loader("timestamptz", Aware)
    return cursor
