"""SQLite has no sessions that others could end."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection


def name_session(connection: Connection, name: str, patience: float | None = None) -> None:
    """Nothing to name."""


def end_sessions(connection: Connection, names: Sequence[str]) -> int:
    """Nothing to end: who is frozen with the write lock in hand stops everybody."""
    return 0
