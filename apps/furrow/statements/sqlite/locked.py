"""SQLite locks no rows: whoever writes has the whole file, and others wait for it (``busy_timeout``)."""

import uuid
from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Locker


def locked(connection: Connection, ids: Collection[object]) -> set[str]:
    """None of them: who waits, waits for the file."""
    return set()


def locker(connection: Connection, id: uuid.UUID) -> Locker | None:
    """Nobody: SQLite does not say who writes."""
    return None


def lockers(connection: Connection, age: float) -> list[Locker]:
    """Nobody that is known."""
    return []
