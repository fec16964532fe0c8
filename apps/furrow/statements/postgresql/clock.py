"""The database's clock, and what becomes of rows when it was set back: times of before the step lie in the future then."""

import datetime as dt

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.models.step import SPAN
from furrow.statements.postgresql.times import reading_times
from furrow.tables import ATTEMPT, HOLD, JOB, QUEUE, STEP


def clock(connection: Connection) -> dt.datetime:
    """The database's time, by which jobs become due and expire."""
    with reading_times(connection) as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: dt.datetime = cursor.fetchone()[0]
        return now


# What was sent or began, and retries: one that was due is due, of the others the delay is kept; so are the ends of sleeps and
# the patience of waits, which a woken job goes by. Then keys that are unique for a
# time, and slots of rates and pauses. Rows that somebody has locked stay as they are.
_SET_BACK = (
    f"""UPDATE {JOB} SET run_at = least(run_at, statement_timestamp()), queued_at = least(queued_at, statement_timestamp())
       WHERE id = ANY(ARRAY(SELECT id FROM {JOB} WHERE state = 'queued'
         AND (run_at > statement_timestamp() OR queued_at > statement_timestamp()) FOR NO KEY UPDATE SKIP LOCKED))""",
    f"""UPDATE {JOB} SET run_at = least(run_at, statement_timestamp()), queued_at = least(queued_at, statement_timestamp()),
         started_at = least(started_at, statement_timestamp())
       WHERE id = ANY(ARRAY(SELECT id FROM {JOB} WHERE state = 'running'
         AND (run_at > statement_timestamp() OR started_at > statement_timestamp()) FOR NO KEY UPDATE SKIP LOCKED))""",
    f"""UPDATE {JOB} SET run_at = greatest(statement_timestamp(), run_at - (%(before)s - statement_timestamp()))
       WHERE id = ANY(ARRAY(SELECT id FROM {JOB} WHERE state = 'pending' AND attempt > 0 AND run_at > statement_timestamp()
         AND (run_at <= %(before)s OR EXISTS (SELECT FROM {ATTEMPT} a WHERE a.job_id = {JOB}.id
           AND a.number = {JOB}.attempt AND a.finished_at > statement_timestamp())) FOR NO KEY UPDATE SKIP LOCKED))""",
    f"""UPDATE {STEP} SET until = greatest(statement_timestamp(), until - (%(before)s - statement_timestamp()))
       WHERE id = ANY(ARRAY(SELECT id FROM {STEP} WHERE finished_at IS NULL AND until > statement_timestamp() AND (
         until <= %(before)s OR started_at > statement_timestamp() AND (sort <> 'sleep' OR awaits = '{SPAN}'))
         FOR NO KEY UPDATE SKIP LOCKED))""",
    f"""UPDATE {JOB} SET unique_expires_at = unique_expires_at - (%(before)s - statement_timestamp())
       WHERE id = ANY(ARRAY(SELECT id FROM {JOB} WHERE unique_key IS NOT NULL AND unique_expires_at > statement_timestamp()
         AND created_at > statement_timestamp() FOR UPDATE SKIP LOCKED))""",
    f"""UPDATE {HOLD} SET free_at = statement_timestamp() + period * interval '1 second' WHERE ctid = ANY(ARRAY(
         SELECT ctid FROM {HOLD} WHERE free_at > statement_timestamp() + period * interval '1 second'
         FOR UPDATE SKIP LOCKED))""",
    f"""UPDATE {QUEUE} SET paused_at = statement_timestamp() WHERE name = ANY(ARRAY(
         SELECT name FROM {QUEUE} WHERE paused_at > statement_timestamp() FOR UPDATE SKIP LOCKED))""",
)


def set_back(connection: Connection, before: dt.datetime) -> int:
    """The clock was set back, and showed ``before`` until then: what was sent, taken or put off by it counts from now; returns
    how many rows. To be called once; :func:`make_due` does the rest."""
    changed = 0
    with connection.cursor() as cursor:
        for statement in _SET_BACK:
            cursor.execute(statement, {"before": before})
            changed += cursor.rowcount
    return changed


def make_due(connection: Connection, before: dt.datetime, limit: int) -> int:
    """Make due at most ``limit`` of the jobs that were submitted before the clock was set back and were due then; returns how
    many. Those that were submitted after it, or so long ago that nobody can tell, keep the time that they were given.
    ``before`` is the last time that is known: a job that was to run at once was due, also if it was submitted later."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET run_at = statement_timestamp() WHERE id = ANY(ARRAY(
                 SELECT id FROM {JOB}
                 WHERE state = 'pending' AND attempt = 0 AND created_at > statement_timestamp()
                   AND run_at > statement_timestamp() AND (run_at <= %s OR run_at <= created_at)
                 LIMIT %s FOR NO KEY UPDATE SKIP LOCKED))""",
            [before, limit],
        )
        return int(cursor.rowcount)
