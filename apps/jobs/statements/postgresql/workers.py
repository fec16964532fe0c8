"""A worker's row and its lease."""

import json
import uuid
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection


def renew(connection: Connection, worker: uuid.UUID, lease: float) -> bool:
    """Renew a worker's lease; ``False`` when it was taken for dead and owns nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE jobs_worker SET heartbeat_at = clock_timestamp(),
                      lease_until = clock_timestamp() + %s * interval '1 second'
               WHERE id = %s AND stopped_at IS NULL AND lease_until > clock_timestamp()""",
            [lease, worker],
        )
        return bool(cursor.rowcount == 1)


def owned(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs, by the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM jobs_job WHERE state = 'running' AND worker = %s", [worker])
        return [row[0] for row in cursor.fetchall()]


def stop_requests(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs and somebody cancelled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id::text FROM jobs_job WHERE state = 'running' AND worker = %s AND cancel_requested_at IS NOT NULL",
            [worker],
        )
        return [row[0] for row in cursor.fetchall()]


def register_worker(connection: Connection, worker: uuid.UUID, lease: float, description: dict[str, Any]) -> None:
    """Insert the row of a worker's new life: node, pid, processes, queues, kinds."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO jobs_worker (id, node, pid, processes, queues, kinds, lease_until, lost)
               VALUES (%(id)s, %(node)s, %(pid)s, %(processes)s, %(queues)s, %(kinds)s,
                       clock_timestamp() + %(lease)s * interval '1 second', false)""",
            {**_json_lists(description), "id": worker, "lease": lease},
        )


def stop_worker(connection: Connection, worker: uuid.UUID) -> None:
    """A worker ended in order."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_worker SET stopped_at = clock_timestamp() WHERE id = %s AND stopped_at IS NULL", [worker])


def _json_lists(description: dict[str, Any]) -> dict[str, Any]:
    return {key: json.dumps(value) if isinstance(value, list) else value for key, value in description.items()}
