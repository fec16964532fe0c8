"""A worker's row and its lease, on SQLite."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Answer, Asked, Report
from furrow.statements.sqlite.times import bare as _hex
from furrow.statements.sqlite.times import now as _now
from furrow.statements.sqlite.times import text as _text
from furrow.tables import CANARY, JOB, WORKER, WORKER_REQUEST

_NOTHING = Report()


def renew(connection: Connection, worker: uuid.UUID, lease: float, report: Report = _NOTHING) -> bool:
    """Renew a worker's lease; ``False`` when it was taken for dead and owns nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {WORKER} SET heartbeat_at = %s, lease_until = %s, stats = %s, paused = %s, ended = %s, failed = %s,
                      processes = %s
               WHERE id = %s AND stopped_at IS NULL""",
            (_now(), _text(time.time() + lease), *report, worker.hex),
        )
        return bool(cursor.rowcount == 1)


def owned(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs, by the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {JOB} WHERE state = 'running' AND worker = %s", (worker.hex,))
        return [str(uuid.UUID(row[0])) for row in cursor.fetchall()]


def stop_requests(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs and somebody cancelled."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {JOB} WHERE state = 'running' AND worker = %s AND cancel_requested_at IS NOT NULL", (worker.hex,)
        )
        return [str(uuid.UUID(row[0])) for row in cursor.fetchall()]


def register_worker(
    connection: Connection, worker: uuid.UUID, lease: float, description: dict[str, Any], report: Report = _NOTHING
) -> None:
    """Insert the row of a worker's new life: node, host, pid, version, code_version, session, queues, kinds."""
    given = description
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {WORKER} (id, node, host, pid, version, code_version, session, queues, kinds, stats, paused,
                                        ended, failed, processes, lease_until, lost)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0)""",
            (
                *(worker.hex, given["node"], given["host"], given["pid"], given["version"]),
                *(given.get("code_version", ""), given["session"]),
                *(json.dumps(given["queues"]), json.dumps(given["kinds"]), *report, _text(time.time() + lease)),
            ),
        )


def stop_worker(connection: Connection, worker: uuid.UUID, report: Report = _NOTHING) -> None:
    """A worker ended in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {WORKER} SET stopped_at = %s, ended = %s, failed = %s WHERE id = %s AND stopped_at IS NULL",
            (_now(), report.ended, report.failed, worker.hex),
        )


def asked(connection: Connection, worker: uuid.UUID) -> list[Asked]:
    """Take what people ask of this worker, in their order; each request is taken once."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {WORKER_REQUEST} WHERE worker = %s AND taken_at IS NULL LIMIT 1", (worker.hex,))
        if cursor.fetchone() is None:
            return []
        cursor.execute(
            f"""UPDATE {WORKER_REQUEST} SET taken_at = %s WHERE worker = %s AND taken_at IS NULL
               RETURNING id, action, subject, asked_by""",
            (_now(), worker.hex),
        )
        return [Asked(str(uuid.UUID(id)), *rest) for id, *rest in sorted(cursor.fetchall())]


def canaries(connection: Connection) -> tuple[list[tuple[str, str, float]], frozenset[str]]:
    """Kind, version and share of each canary; and where there is one, the versions of the code that living workers have."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT kind, version, share FROM {CANARY}")
        if not (found := cursor.fetchall()):
            return [], frozenset()
        cursor.execute(f"SELECT DISTINCT code_version FROM {WORKER} WHERE stopped_at IS NULL AND lease_until > %s", (_now(),))
        return [(kind, version, share) for kind, version, share in found], frozenset(row[0] for row in cursor.fetchall())


def answer(connection: Connection, answers: Sequence[Answer]) -> None:
    """Answer requests; one that has an answer keeps it."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""UPDATE {WORKER_REQUEST} SET answered_at = %s, succeeded = %s, answer = %s
               WHERE id = %s AND answered_at IS NULL""",
            [(_now(), given.succeeded, given.text.replace("\0", ""), _hex(given.id)) for given in answers],
        )
