"""Jobs come into the table, on SQLite."""

import datetime as dt
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.begun import HAS_BEGUN
from furrow.statements.sqlite.times import now as _now
from furrow.statements.sqlite.times import seconds, stored
from furrow.statements.words import FINAL, UNSTARTED
from furrow.tables import HOLD, JOB


def insert_jobs(
    connection: Connection,
    ids: Sequence[uuid.UUID],
    texts: Sequence[str],
    columns: dict[str, Any],
    own: Sequence[Mapping[str, Any]] | None = None,
) -> int:
    """Insert a pending job for each id and arguments text; the other columns are the same for all, but for those in ``own``.
    Returns how many: rows whose id exists are left out."""
    text, rows = _rows(ids, texts, columns, own)
    with connection.cursor() as cursor:
        cursor.executemany(f"{text} ON CONFLICT (id) DO NOTHING", rows)
        return int(cursor.rowcount)


def insert_unique(
    connection: Connection,
    ids: Sequence[uuid.UUID],
    texts: Sequence[str],
    columns: dict[str, Any],
    own: Sequence[Mapping[str, Any]],
) -> set[uuid.UUID]:
    """The same for jobs with unique keys; returns the ids of those that are in the table now. Those whose key another has are
    left out."""
    text, rows = _rows(ids, texts, columns, own)
    inserted: set[uuid.UUID] = set()
    with connection.cursor() as cursor:
        for id, row in zip(ids, rows, strict=True):
            cursor.execute(f"{text} ON CONFLICT DO NOTHING", row)
            if cursor.rowcount == 1:
                inserted.add(id)
    return inserted


def _rows(
    ids: Sequence[uuid.UUID],
    texts: Sequence[str],
    columns: dict[str, Any],
    own: Sequence[Mapping[str, Any]] | None,
) -> tuple[str, list[tuple[Any, ...]]]:
    """The INSERT's text, and a tuple of values for each row."""
    names = ["id", "arguments", *columns, *(own[0] if own else ())]
    shared = [_adapted(value) for value in columns.values()]
    mine = [[_adapted(value) for value in values.values()] for values in own] if own else [[]] * len(ids)
    text = f"INSERT INTO {JOB} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
    return text, [(id.hex, arguments, *shared, *values) for id, arguments, values in zip(ids, texts, mine, strict=True)]


#: A job keeps its unique key from others: not begun, not over, or for its time.
_KEEPS = f"""CASE unique_until WHEN 'started' THEN state IN {UNSTARTED} AND NOT {HAS_BEGUN}
  WHEN 'done' THEN state NOT IN {FINAL} ELSE unique_expires_at > %s END"""


def forget_keys(connection: Connection, keys: Sequence[str]) -> None:
    """Take these unique keys from jobs that do not keep them any more."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {JOB} SET unique_key = NULL WHERE unique_key = %s AND NOT ({_KEEPS})", [(key, _now()) for key in keys]
        )


def keepers(connection: Connection, keys: Sequence[str]) -> dict[str, uuid.UUID]:
    """The jobs that have these unique keys, by key."""
    found = {}
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute(f"SELECT id FROM {JOB} WHERE unique_key = %s", (key,))
            if row := cursor.fetchone():
                found[key] = uuid.UUID(row[0])
    return found


def replace(connection: Connection, key: str, text: str, columns: Mapping[str, Any]) -> uuid.UUID | None:
    """Give the job with this unique key other arguments and columns, if it has not begun; ``None`` if it has. What it holds
    for the old ones is given back, and a message that is on its way will be dropped."""
    with connection.cursor() as cursor:
        if (expires_at := columns.get("expires_at")) and "run_at" not in columns:  # counted from the time that stands
            cursor.execute(f"SELECT run_at || '' FROM {JOB} WHERE unique_key = %s", (key,))
            if row := cursor.fetchone():
                wait = max(0.0, seconds(row[0]) - time.time())
                columns = {**columns, "expires_at": expires_at + dt.timedelta(seconds=wait)}
        sets = "".join(f", {name} = %s" for name in columns)
        cursor.execute(
            f"""UPDATE {JOB} SET state = CASE state WHEN 'waiting' THEN state ELSE 'pending' END, queued_at = NULL,
                  arguments = %s{sets}
                WHERE unique_key = %s AND NOT {HAS_BEGUN}
                    AND state IN {UNSTARTED} RETURNING id""",
            (text, *[_adapted(value) for value in columns.values()], key),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(f"DELETE FROM {HOLD} WHERE job = %s", (row[0],))
    return uuid.UUID(row[0])


def _adapted(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return value.hex
    return stored(value) if isinstance(value, dt.datetime) else value
