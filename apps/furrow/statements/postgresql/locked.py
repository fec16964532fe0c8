"""Rows that another transaction has locked: which they are, and who it is."""

import uuid
from collections.abc import Collection

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Locker
from furrow.statements.postgresql.link import plain, raw
from furrow.statements.postgresql.times import reading_times
from furrow.tables import JOB


def locked(connection: Connection, ids: Collection[object]) -> set[str]:
    """Those of these jobs whose row another transaction has locked at this moment; asking waits for nobody. Inside of a
    transaction the rows of the others are locked for it."""
    if not ids:
        return set()
    given = plain(sorted(map(str, ids)))
    with raw(connection) as cursor:
        cursor.execute(
            f"""WITH mine AS MATERIALIZED (SELECT id FROM {JOB} WHERE id = ANY(%s::uuid[]) FOR NO KEY UPDATE SKIP LOCKED)
               SELECT id::text FROM {JOB} WHERE id = ANY(%s::uuid[]) AND id NOT IN (SELECT id FROM mine)""",
            (given, given),
        )
        return {row[0] for row in cursor.fetchall()}


_SESSION = (
    "coalesce(a.application_name, ''), coalesce(a.usename, ''), a.pid, coalesce(a.xact_start, now()), coalesce(a.query, '')"
)


def locker(connection: Connection, id: uuid.UUID) -> Locker | None:
    """The session that has this job's row locked; ``None`` when no other transaction has. A row names the transaction that
    changed or locked it last; of several that share it, it names their list."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT {_SESSION} FROM {JOB} j JOIN pg_locks l ON l.locktype = 'transactionid' AND l.granted
                  AND l.transactionid = j.xmax JOIN pg_stat_activity a ON a.pid = l.pid
                WHERE j.id = %s AND l.pid <> pg_backend_pid() LIMIT 1""",
            [id],
        )
        if row := cursor.fetchone():
            return Locker(*row)
        if str(id) not in locked(connection, [id]):
            return None
        try:
            cursor.execute(
                f"""SELECT {_SESSION} FROM {JOB} j, pg_get_multixact_members(j.xmax) m
                    JOIN pg_locks l ON l.locktype = 'transactionid' AND l.granted AND l.transactionid = m.xid
                    JOIN pg_stat_activity a ON a.pid = l.pid WHERE j.id = %s ORDER BY a.xact_start LIMIT 1""",
                [id],
            )
            row = cursor.fetchone()
        except Error:  # it was no list: it was let go meanwhile
            return None
        return Locker(*row) if row else None


def lockers(connection: Connection, age: float) -> list[Locker]:
    """Sessions that may have jobs' rows locked, with transactions of more than ``age`` seconds; the oldest first."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT {_SESSION} FROM pg_stat_activity a
                WHERE a.pid <> pg_backend_pid() AND a.datname = current_database()
                  AND coalesce(a.xact_start, 'infinity') < now() - %s * interval '1 second'
                  AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.relation = '{JOB}'::regclass
                              AND l.mode NOT IN ('AccessShareLock'))
                ORDER BY a.xact_start LIMIT 5""",
            [age],
        )
        return [Locker(*row) for row in cursor.fetchall()]
