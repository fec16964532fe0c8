"""What queues with partitions ask."""

import uuid
from collections.abc import Collection, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.postgresql.link import plain, raw
from furrow.tables import JOB, WORKER


def partition_keys(connection: Connection, ids: Sequence[uuid.UUID], argument: str) -> dict[uuid.UUID, str]:
    """The text of this argument of each of these jobs. Left out are those that have none, or null; and those with limits, which
    other programs inserted: in a line the first could wait for a slot that one behind it has."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""SELECT id, arguments->>%s FROM {JOB}
               WHERE id = ANY(%s::uuid[]) AND arguments->>%s IS NOT NULL AND limits IS NULL""",
            (argument, plain(ids), argument),
        )
        return dict(cursor.fetchall())


def unended(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these jobs that have not ended."""
    with raw(connection) as cursor:
        cursor.execute(f"SELECT id::text FROM {JOB} WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL", (plain(ids),))
        return {row[0] for row in cursor.fetchall()}


def workers_of(connection: Connection, queue: str) -> list[uuid.UUID]:
    """The living workers that consume this queue, and were not asked to leave it."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""SELECT id FROM {WORKER} WHERE stopped_at IS NULL AND lease_until > clock_timestamp()
               AND queues @> to_jsonb(%s::text) AND NOT paused @> to_jsonb(%s::text) ORDER BY id""",
            (queue, queue),
        )
        return [row[0] for row in cursor.fetchall()]
