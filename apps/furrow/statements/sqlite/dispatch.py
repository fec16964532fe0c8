"""What the dispatcher looks at and marks, on SQLite."""

import datetime as dt
import time
import uuid
from collections.abc import Mapping, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Due, Position, Sendable, Window
from furrow.statements.sqlite.times import now as _now
from furrow.statements.sqlite.times import seconds as _seconds
from furrow.statements.sqlite.times import text as _text
from furrow.states import State
from furrow.tables import APPROVAL, ATTEMPT, JOB, LEADER, LOG_LINE, OUTPUT_CHUNK, SIGNAL, STEP


def due(connection: Connection, queue: str, limit: int, since: Mapping[int, Position] | None = None) -> Due:
    """The next due jobs of a queue, best priority first, then the longest due; looked up per priority. ``since`` is a hint that
    brings nothing here: SQLite keeps no dead rows."""
    found: list[Sendable] = []
    with connection.cursor() as cursor:
        for level in range(10):
            cursor.execute(
                f"""SELECT id, kind, attempt FROM {JOB}
                   WHERE state = 'pending' AND limits IS NULL AND queue = %s AND priority = %s AND run_at <= %s
                   ORDER BY run_at, id LIMIT %s""",
                (queue, level, _now(), limit - len(found)),
            )
            found += [Sendable(uuid.UUID(id), kind, attempt) for id, kind, attempt in cursor.fetchall()]
            if len(found) >= limit:
                break
    return Due(found, {})


def seconds_until_due(connection: Connection, queue: str, since: Mapping[int, Position] | None = None) -> float | None:
    """Seconds until the next pending job of this queue is due (0 or less: now); ``None`` when there is none."""
    earliest = None
    with connection.cursor() as cursor:
        for level in range(10):
            cursor.execute(
                f"""SELECT run_at || '' FROM {JOB} WHERE state = 'pending' AND limits IS NULL AND queue = %s AND priority = %s
                   ORDER BY run_at LIMIT 1""",
                (queue, level),
            )
            if row := cursor.fetchone():
                earliest = min(earliest or row[0], row[0])
    return None if earliest is None else _seconds(earliest) - time.time()


def waiting(connection: Connection, queues: Sequence[str], limit: int) -> list[tuple[str, int, int, dt.datetime | None]]:
    """For each queue: its name, how many pending jobs that are not held are due, how many are for later (each counted up to
    ``limit``), and when the longest due became so."""
    now, found = _now(), []
    pending = f"SELECT run_at || '' AS run_at FROM {JOB} WHERE state = 'pending' AND held = '' AND queue = %s AND priority = %s"
    with connection.cursor() as cursor:
        for queue in queues:
            due, later, oldest = 0, 0, None
            for level in range(10):
                cursor.execute(
                    f"SELECT count(*), min(run_at) FROM ({pending} AND run_at <= %s LIMIT %s)", (queue, level, now, limit)
                )
                count, first = cursor.fetchone()
                due, oldest = due + count, min(filter(None, (oldest, first)), default=None)
                cursor.execute(f"SELECT count(*) FROM ({pending} AND run_at > %s LIMIT %s)", (queue, level, now, limit))
                later += cursor.fetchone()[0]
            moment = dt.datetime.fromtimestamp(_seconds(oldest), dt.UTC) if oldest else None
            found.append((queue, min(due, limit), min(later, limit), moment))
    return found


def mark_queued(connection: Connection, attempts: Mapping[uuid.UUID, int], term: int) -> int:
    """Mark published jobs (by id, with the attempt that they had) as queued, if this term still leads; those claimed or
    cancelled meanwhile are left alone, also when they are pending again: their messages are gone."""
    now, marked = _now(), 0
    with connection.cursor() as cursor:
        for id, attempt in attempts.items():
            cursor.execute(
                f"""UPDATE {JOB} SET state = 'queued', queued_at = %s WHERE id = %s AND state = 'pending' AND run_at <= %s
                   AND attempt = %s AND (SELECT term FROM {LEADER} WHERE role = 'dispatcher') = %s""",
                (now, id.hex, now, attempt, term),
            )
            marked += cursor.rowcount
    return marked


def window(connection: Connection, queue: str, since: dt.datetime | None = None) -> Window:
    """How many jobs of a queue RabbitMQ holds, and for how long the oldest has been there."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min(queued_at) FROM {JOB} WHERE state = 'queued' AND queue = %s", (queue,))
        queued, oldest = cursor.fetchone()
    return Window(queued, time.time() - _seconds(oldest) if oldest else 0.0)


def prune(connection: Connection, state: State, age: float, limit: int, oldest: float) -> int:
    """Delete jobs that ended in this state ``age`` seconds ago or before (but no more than ``oldest``), with all that belongs
    to them; returns how many. Those that keep their unique key for a time are left, and those of workflows."""
    now = time.time()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT id FROM {JOB} WHERE state = %s AND finished_at < %s AND finished_at >= %s
                 AND node IS NULL AND (unique_key IS NULL OR unique_expires_at IS NULL OR unique_expires_at <= %s)
               ORDER BY finished_at LIMIT %s""",
            (state, _text(now - age), _text(max(0.0, now - oldest)), _text(now), limit),
        )
        old = cursor.fetchall()
        by_job = [(table, "job_id") for table in (LOG_LINE, OUTPUT_CHUNK, STEP, APPROVAL, ATTEMPT)]
        for table, column in (*by_job, (SIGNAL, "target"), (JOB, "id")):
            cursor.executemany(f"DELETE FROM {table} WHERE {column} = %s", old)
    return len(old)


def lead(connection: Connection, role: str, holder: str, lease: float, over: dt.datetime | None = None) -> int | None:
    """Take or keep a role's lease; the term while it is held, ``None`` while another holds it. Another's is over by the clock,
    or when its end is still ``over`` (to the millisecond: so the ORM writes it)."""
    now, end = _now(), _text(over.timestamp()) if over else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {LEADER} AS l (role, holder, term, lease_until, trouble) VALUES (%s, %s, 1, %s, '')
               ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until,
                 term = l.term + (l.holder <> excluded.holder OR l.lease_until < %s)
               WHERE l.holder = excluded.holder OR l.lease_until < %s OR substr(l.lease_until, 1, 23) = substr(%s, 1, 23)
               RETURNING term""",
            (role, holder, _text(time.time() + lease), now, now, end),
        )
        row = cursor.fetchone()
        return row[0] if row else None
