"""Jobs come into the table."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.begun import HAS_BEGUN
from furrow.statements.words import FINAL, UNSTARTED
from furrow.tables import HOLD, JOB

#: From this many rows on COPY is faster than INSERT.
COPY_FROM = 20
#: Rows in one INSERT of jobs with unique keys.
UNIQUE_AT_ONCE = 500


#: Of each row the columns in which it differs from the others.
Own = Sequence[Mapping[str, Any]]


def insert_jobs(
    connection: Connection, ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any], own: Own | None = None
) -> int:
    """Insert a pending job for each id and arguments text; the other columns are the same for all, but for those in ``own``.
    Returns how many: of less than ``COPY_FROM`` rows those whose id exists are left out, which does not abort the caller's
    transaction."""
    if len(ids) < COPY_FROM:
        return len(_insert(connection, ids, texts, columns, own, "ON CONFLICT (id) DO NOTHING"))
    names, rows = _rows(ids, texts, columns, own)
    copying = f"COPY {JOB} ({names}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(copying) as copy:
        for row in rows:
            copy.write_row(row)
    return len(ids)


def insert_unique(
    connection: Connection, ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any], own: Own
) -> set[uuid.UUID]:
    """The same for jobs with unique keys; returns the ids of those that are in the table now. Those whose key another has are
    left out; one that another transaction is about to commit is waited for."""
    inserted: set[uuid.UUID] = set()
    for at in range(0, len(ids), UNIQUE_AT_ONCE):
        part = slice(at, at + UNIQUE_AT_ONCE)
        inserted |= _insert(connection, ids[part], texts[part], columns, own[part], "ON CONFLICT DO NOTHING")
    return inserted


def _insert(
    connection: Connection, ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any], own: Own | None, end: str
) -> set[uuid.UUID]:
    names, rows = _rows(ids, texts, columns, own)
    row = f"(%s, %s::jsonb{', %s' * (len(rows[0]) - 2)})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {JOB} ({names}) VALUES {', '.join([row] * len(rows))} {end} RETURNING id",
            [value for values in rows for value in values],
        )
        return {id for (id,) in cursor.fetchall()}


def _rows(
    ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any], own: Own | None
) -> tuple[str, list[tuple[Any, ...]]]:
    shared = tuple(columns.values())
    names = ", ".join(["id", "arguments", *columns, *(own[0] if own else ())])
    if own is None:
        return names, [(id, text, *shared) for id, text in zip(ids, texts, strict=True)]
    return names, [(id, text, *shared, *mine.values()) for id, text, mine in zip(ids, texts, own, strict=True)]


#: A job keeps its unique key from others: not begun, not over, or for its time.
_KEEPS = f"""CASE unique_until WHEN 'started' THEN state IN {UNSTARTED} AND NOT {HAS_BEGUN}
  WHEN 'done' THEN state NOT IN {FINAL} ELSE unique_expires_at > clock_timestamp() END"""


def forget_keys(connection: Connection, keys: Sequence[str]) -> None:
    """Take these unique keys from jobs that do not keep them any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {JOB} SET unique_key = NULL WHERE unique_key = ANY(%s) AND unique_key IS NOT NULL AND NOT ({_KEEPS})",
            [list(keys)],
        )


def keepers(connection: Connection, keys: Sequence[str]) -> dict[str, uuid.UUID]:
    """The jobs that have these unique keys, by key."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT unique_key, id FROM {JOB} WHERE unique_key = ANY(%s) AND unique_key IS NOT NULL", [list(keys)])
        return dict(cursor.fetchall())


def replace(connection: Connection, key: str, text: str, columns: Mapping[str, Any]) -> uuid.UUID | None:
    """Give the job with this unique key other arguments and columns, if it has not begun; ``None`` if it has. What it holds
    for the old ones is given back, and a message that is on its way will be dropped."""
    sets = "".join(f", {name} = %s" for name in columns)
    if columns.get("expires_at") and "run_at" not in columns:  # counted from the time that stands
        sets = sets.replace("expires_at = %s", "expires_at = %s + greatest(run_at - clock_timestamp(), interval '0')")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH changed AS (
                  UPDATE {JOB} SET state = CASE state WHEN 'waiting' THEN state ELSE 'pending' END, queued_at = NULL,
                    arguments = %s::jsonb{sets}
                  WHERE unique_key = %s AND unique_key IS NOT NULL AND NOT {HAS_BEGUN}
                    AND state IN {UNSTARTED}
                  RETURNING id
                ), given_back AS (DELETE FROM {HOLD} USING changed WHERE job = changed.id)
                SELECT id FROM changed""",
            [text, *columns.values(), key],
        )
        row = cursor.fetchone()
        return row[0] if row else None
