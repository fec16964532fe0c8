"""The clock, and what becomes of rows when it was set back, on SQLite, whose clock is that of the process that asks."""

import datetime as dt
import time

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.models.step import SPAN
from furrow.statements.sqlite.times import seconds, text
from furrow.tables import ATTEMPT, HOLD, JOB, QUEUE, STEP


def clock(connection: Connection) -> dt.datetime:
    """The time, by which jobs become due and expire."""
    return dt.datetime.now(dt.UTC)


def set_back(connection: Connection, before: dt.datetime) -> int:
    """The clock was set back, and showed ``before`` until then: what was sent, taken or put off by it counts from now; returns
    how many rows. To be called once; :func:`make_due` does the rest."""
    moment, changed = time.time(), 0
    now, was, step = text(moment), text(before.timestamp()), before.timestamp() - moment
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET run_at = min(run_at, %s), queued_at = min(queued_at, %s), started_at = min(started_at, %s)
               WHERE state = 'queued' AND (run_at > %s OR queued_at > %s)
                 OR state = 'running' AND (run_at > %s OR started_at > %s)""",
            (now,) * 7,
        )
        changed += cursor.rowcount
        cursor.execute(
            f"""SELECT id, run_at || '' FROM {JOB} WHERE state = 'pending' AND attempt > 0 AND run_at > %s
               AND (run_at <= %s OR EXISTS (SELECT 1 FROM {ATTEMPT} a WHERE a.job_id = {JOB}.id
                 AND a.number = {JOB}.attempt AND a.finished_at > %s))""",
            (now, was, now),
        )
        retries = [(text(max(moment, seconds(run_at) - step)), id) for id, run_at in cursor.fetchall()]
        cursor.executemany(f"UPDATE {JOB} SET run_at = %s WHERE id = %s", retries)
        cursor.execute(
            f"""SELECT id, until || '' FROM {STEP} WHERE finished_at IS NULL AND until > %s AND (
                 until <= %s OR started_at > %s AND (sort <> 'sleep' OR awaits = '{SPAN}'))""",
            (now, was, now),
        )
        ends = [(text(max(moment, seconds(until) - step)), id) for id, until in cursor.fetchall()]
        cursor.executemany(f"UPDATE {STEP} SET until = %s WHERE id = %s", ends)
        cursor.execute(
            f"""SELECT id, unique_expires_at || '' FROM {JOB}
               WHERE unique_key IS NOT NULL AND unique_expires_at > %s AND created_at > %s""",
            (now, now),
        )
        unique = [(text(seconds(until) - step), id) for id, until in cursor.fetchall()]
        cursor.executemany(f"UPDATE {JOB} SET unique_expires_at = %s WHERE id = %s", unique)
        cursor.execute(f"SELECT key, slot, free_at || '', period FROM {HOLD} WHERE period IS NOT NULL AND free_at > %s", (now,))
        late = [(key, slot, period) for key, slot, free_at, period in cursor.fetchall() if seconds(free_at) > moment + period]
        cursor.executemany(
            f"UPDATE {HOLD} SET free_at = %s WHERE key = %s AND slot = %s",
            [(text(moment + period), key, slot) for key, slot, period in late],
        )
        cursor.execute(f"UPDATE {QUEUE} SET paused_at = %s WHERE paused_at > %s", (now, now))
        return int(changed) + len(retries) + len(ends) + len(unique) + len(late) + int(cursor.rowcount)


def make_due(connection: Connection, before: dt.datetime, limit: int) -> int:
    """Make due at most ``limit`` of the jobs that were submitted before the clock was set back and were due then; returns how
    many. Those that were submitted after it, or so long ago that nobody can tell, keep the time that they were given.
    ``before`` is the last time that is known: a job that was to run at once was due, also if it was submitted later."""
    now = text(time.time())
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET run_at = %s WHERE id IN (
                 SELECT id FROM {JOB} WHERE state = 'pending' AND attempt = 0 AND created_at > %s
                   AND run_at > %s AND (run_at <= %s OR run_at <= created_at) LIMIT %s)""",
            (now, now, now, text(before.timestamp()), limit),
        )
        return int(cursor.rowcount)
