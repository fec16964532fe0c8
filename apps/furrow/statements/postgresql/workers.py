"""A worker's row and its lease."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Answer, Asked, Report
from furrow.tables import CANARY, JOB, WORKER, WORKER_REQUEST

_NOTHING = Report()


def renew(connection: Connection, worker: uuid.UUID, lease: float, report: Report = _NOTHING) -> bool:
    """Renew a worker's lease; ``False`` when it was taken for dead and owns nothing any more. Whether it comes in time
    the worker and the rescue know, each by a monotonic clock; the database's may have been set meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {WORKER} SET heartbeat_at = clock_timestamp(),
                      lease_until = clock_timestamp() + %s * interval '1 second',
                      stats = %s, paused = %s, ended = %s, failed = %s, processes = %s
               WHERE id = %s AND stopped_at IS NULL""",
            [lease, *report, worker],
        )
        return bool(cursor.rowcount == 1)


def owned(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs, by the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id::text FROM {JOB} WHERE state = 'running' AND worker = %s", [worker])
        return [row[0] for row in cursor.fetchall()]


def stop_requests(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs and somebody cancelled."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id::text FROM {JOB} WHERE state = 'running' AND worker = %s AND cancel_requested_at IS NOT NULL",
            [worker],
        )
        return [row[0] for row in cursor.fetchall()]


def register_worker(
    connection: Connection, worker: uuid.UUID, lease: float, description: dict[str, Any], report: Report = _NOTHING
) -> None:
    """Insert the row of a worker's new life: node, host, pid, version, code_version, session, queues, kinds."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {WORKER} (id, node, host, pid, version, code_version, session, queues, kinds, stats, paused,
                                        ended, failed, processes, lease_until, lost)
               VALUES (%(id)s, %(node)s, %(host)s, %(pid)s, %(version)s, %(code_version)s, %(session)s, %(queues)s, %(kinds)s,
                       %(stats)s, %(paused)s, %(ended)s, %(failed)s, %(processes)s,
                       clock_timestamp() + %(lease)s * interval '1 second', false)""",
            {"code_version": "", **_json_lists(description), **report._asdict(), "id": worker, "lease": lease},
        )


def stop_worker(connection: Connection, worker: uuid.UUID, report: Report = _NOTHING) -> None:
    """A worker ended in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {WORKER} SET stopped_at = clock_timestamp(), ended = %s, failed = %s
               WHERE id = %s AND stopped_at IS NULL""",
            [report.ended, report.failed, worker],
        )


def asked(connection: Connection, worker: uuid.UUID) -> list[Asked]:
    """Take what people ask of this worker, in their order; each request is taken once."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {WORKER_REQUEST} WHERE worker = %s AND taken_at IS NULL LIMIT 1", [worker])
        if cursor.fetchone() is None:
            return []
        cursor.execute(
            f"""UPDATE {WORKER_REQUEST} SET taken_at = clock_timestamp() WHERE worker = %s AND taken_at IS NULL
               RETURNING id::text, action, subject, asked_by""",
            [worker],
        )
        return sorted(map(Asked._make, cursor.fetchall()))


def canaries(connection: Connection) -> tuple[list[tuple[str, str, float]], frozenset[str]]:
    """Kind, version and share of each canary; and where there is one, the versions of the code that living workers have."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT kind, version, share FROM {CANARY}")
        if not (found := cursor.fetchall()):
            return [], frozenset()
        cursor.execute(
            f"SELECT DISTINCT code_version FROM {WORKER} WHERE stopped_at IS NULL AND lease_until > clock_timestamp()"
        )
        return [(kind, version, share) for kind, version, share in found], frozenset(row[0] for row in cursor.fetchall())


def answer(connection: Connection, answers: Sequence[Answer]) -> None:
    """Answer requests; one that has an answer keeps it, one whose row somebody has locked gets none."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""UPDATE {WORKER_REQUEST} SET answered_at = clock_timestamp(), succeeded = %s, answer = %s
               WHERE id = (SELECT id FROM {WORKER_REQUEST} WHERE id = %s FOR UPDATE SKIP LOCKED) AND answered_at IS NULL""",
            [(given.succeeded, given.text.replace("\0", ""), given.id) for given in answers],
        )


def _json_lists(description: dict[str, Any]) -> dict[str, Any]:
    return {key: json.dumps(value) if isinstance(value, list) else value for key, value in description.items()}
