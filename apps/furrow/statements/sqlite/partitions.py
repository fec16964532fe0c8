"""What queues with partitions ask, on SQLite."""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.tables import JOB, WORKER


def partition_keys(connection: Connection, ids: Sequence[uuid.UUID], argument: str) -> dict[uuid.UUID, str]:
    """The text of this argument of each of these jobs. Left out are those that have none, or null; and those with limits, which
    other programs inserted: in a line the first could wait for a slot that one behind it has."""
    keys = {}
    with connection.cursor() as cursor:
        for id in ids:
            cursor.execute(
                f"SELECT CAST(arguments ->> %s AS TEXT) FROM {JOB} WHERE id = %s AND limits IS NULL",
                (f'$."{argument}"', id.hex),
            )
            if (row := cursor.fetchone()) and row[0] is not None:
                keys[id] = row[0]
    return keys


def unended(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these jobs that have not ended."""
    with connection.cursor() as cursor:
        found = set()
        for id in ids:
            cursor.execute(f"SELECT 1 FROM {JOB} WHERE id = %s AND finished_at IS NULL", (id.replace("-", ""),))
            if cursor.fetchone():
                found.add(id)
        return found


def workers_of(connection: Connection, queue: str) -> list[uuid.UUID]:
    """The living workers that consume this queue, and were not asked to leave it."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT id FROM {WORKER} WHERE stopped_at IS NULL AND lease_until > %s
               AND EXISTS (SELECT 1 FROM json_each(queues) WHERE value = %s)
               AND NOT EXISTS (SELECT 1 FROM json_each(paused) WHERE value = %s) ORDER BY id""",
            (now, queue, queue),
        )
        return [uuid.UUID(row[0]) for row in cursor.fetchall()]
