"""Times keep their zone in a project with ``USE_TZ = False``, whose own columns have none.

Furrow compares times with the database's clock, so all of its own are aware. Django's field would drop the zone where
``USE_TZ`` is off, and SQLite would take local times then, which are not in order when the clocks go back.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Model
from django.utils import timezone


def keep_zones(models: Iterable[type[Model]]) -> None:
    """Let the fields of these models read and write aware times. To be called where ``USE_TZ`` is off."""
    for model in models:
        for field in model._meta.local_concrete_fields:
            if type(field) is DateTimeField:
                field.__class__ = ZonedDateTimeField


class ZonedDateTimeField(DateTimeField):  # type: ignore[type-arg]
    """Reads times in UTC, as Django's does with ``USE_TZ``; SQLite holds them in UTC. A naive time that is written is one of
    the project's ``TIME_ZONE``. Migrations know it as Django's field."""

    def deconstruct(self) -> Any:
        """As Django's."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper) -> Any:
        """What Django read: naive, on SQLite in UTC, else in the session's zone."""
        if not isinstance(value, dt.datetime) or value.tzinfo:
            return value
        if connection.vendor == "sqlite":
            return value.replace(tzinfo=dt.UTC)
        return timezone.make_aware(value, timezone.get_default_timezone()).astimezone(dt.UTC)

    def get_prep_value(self, value: Any) -> Any:
        """Aware."""
        value = super().get_prep_value(value)
        if isinstance(value, dt.datetime) and value.tzinfo is None:
            return timezone.make_aware(value, timezone.get_default_timezone())
        return value

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """As the database is given it."""
        if not prepared:
            value = self.get_prep_value(value)
        if isinstance(value, dt.datetime) and connection.vendor == "sqlite":
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        return super().get_db_prep_value(value, connection, prepared=True)
