"""A connection to SQLite."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection


def prepare(connection: Connection, patience: float) -> None:
    """Nothing to prepare."""
