"""What the dispatcher looks at and marks."""

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from furrow.statements import Due, Position, Sendable, Window
from furrow.statements.postgresql.link import in_one_go, plain, raw
from furrow.statements.postgresql.times import reading_times
from furrow.states import State
from furrow.tables import APPROVAL, ATTEMPT, JOB, LEADER, LOG_LINE, OUTPUT_CHUNK, SIGNAL, STEP


def due(connection: Connection, queue: str, limit: int, since: Mapping[int, Position] | None = None) -> Due:
    """The next due jobs of a queue, but for those with limits: best priority first, then the longest due; of each priority
    those after ``since``.

    Looked up per priority: a scan of the whole index in its order would walk over all jobs that are scheduled for later at a
    better priority. For the same reason the time is ``statement_timestamp()``: a volatile one is no index condition."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT since.level, coalesce(found.run_at, statement_timestamp()), coalesce(found.id, %s),
                       found.kind, found.attempt
                FROM {_SINCE} LEFT JOIN LATERAL (
                  SELECT id, kind, attempt, run_at FROM {JOB}
                  WHERE state = 'pending' AND limits IS NULL AND queue = %s AND priority = since.level
                    AND (run_at, id) > (since.run_at, since.id) AND run_at <= statement_timestamp()
                  ORDER BY run_at, id LIMIT %s
                ) AS found ON true LIMIT %s""",
            [_LOWEST, *_levels(since), queue, limit, limit + LOWEST_PRIORITY],
        )
        found = Due([], {})
        for level, run_at, id, kind, attempt in cursor:
            if len(found.jobs) == limit:
                break
            found.reached[level] = run_at, id
            if kind is not None:  # the row that says that a priority has no more
                found.jobs.append(Sendable(id, kind, attempt))
                last = level, run_at, id
        return found._replace(more_from=last) if len(found.jobs) == limit else found


def seconds_until_due(connection: Connection, queue: str, since: Mapping[int, Position] | None = None) -> float | None:
    """Seconds until the next pending job of this queue is due (0 or less: now); ``None`` when there is none after ``since``."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT date_part('epoch', min(found.run_at)) - date_part('epoch', clock_timestamp())
                FROM {_SINCE}, LATERAL (
                  SELECT run_at FROM {JOB}
                  WHERE state = 'pending' AND limits IS NULL AND queue = %s AND priority = since.level
                    AND (run_at, id) > (since.run_at, since.id)
                  ORDER BY run_at, id LIMIT 1
                ) AS found""",
            [*_levels(since), queue],
        )
        row = cursor.fetchone()
        return None if row is None else row[0]


def waiting(connection: Connection, queues: Sequence[str], limit: int) -> list[tuple[str, int, int, dt.datetime | None]]:
    """For each queue: its name, how many pending jobs that are not held are due, how many are for later (each counted up to
    ``limit``), and when the longest due became so. By priority, as :func:`due`, so that it reads no more of the indexes than
    it counts."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT q.name, least(sum(due.jobs), %(limit)s)::int, least(sum(later.jobs), %(limit)s)::int, min(due.oldest)
               FROM unnest(%(queues)s::text[]) AS q(name), generate_series(%(first)s, %(last)s) AS level,
                 LATERAL (SELECT count(*) AS jobs, min(run_at) AS oldest FROM (
                   (SELECT run_at FROM {JOB} WHERE state = 'pending' AND limits IS NULL AND queue = q.name
                      AND priority = level AND run_at <= statement_timestamp() ORDER BY run_at, id LIMIT %(limit)s)
                   UNION ALL
                   (SELECT run_at FROM {JOB} WHERE state = 'pending' AND limits IS NOT NULL AND held = '' AND queue = q.name
                      AND priority = level AND run_at <= statement_timestamp() ORDER BY run_at, id LIMIT %(limit)s)
                 ) AS counted) AS due,
                 LATERAL (SELECT count(*) AS jobs FROM (
                   (SELECT run_at FROM {JOB} WHERE state = 'pending' AND limits IS NULL AND queue = q.name
                      AND priority = level AND run_at > statement_timestamp() ORDER BY run_at, id LIMIT %(limit)s)
                   UNION ALL
                   (SELECT run_at FROM {JOB} WHERE state = 'pending' AND limits IS NOT NULL AND held = '' AND queue = q.name
                      AND priority = level AND run_at > statement_timestamp() ORDER BY run_at, id LIMIT %(limit)s)
                 ) AS counted) AS later
               GROUP BY q.name""",
            {"queues": list(queues), "limit": limit, "first": HIGHEST_PRIORITY, "last": LOWEST_PRIORITY},
        )
        return list(cursor.fetchall())


_LOWEST = uuid.UUID(int=0)
_SINCE = "unnest(%s::smallint[], %s::timestamptz[], %s::uuid[]) AS since(level, run_at, id)"


def _levels(since: Mapping[int, Position] | None) -> tuple[list[int], list[Any], list[uuid.UUID]]:
    """The parameters of ``_SINCE``."""
    levels = list(range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1))
    positions: list[tuple[Any, uuid.UUID]] = [(since or {}).get(level, ("-infinity", _LOWEST)) for level in levels]
    return levels, [str(run_at) for run_at, _ in positions], [id for _, id in positions]


_MARK = f"""
UPDATE {JOB} SET state = 'queued', queued_at = clock_timestamp()
WHERE id = ANY(%s::uuid[]) AND state || '' = 'pending' AND run_at <= clock_timestamp()
  AND attempt = coalesce((%s::jsonb ->> id::text)::int, 0)
  AND (SELECT term FROM {LEADER} WHERE role = 'dispatcher') = %s"""


def mark_queued(connection: Connection, attempts: Mapping[uuid.UUID, int], term: int) -> int:
    """Mark published jobs (by id, with the attempt that they had) as queued, if this term still leads; those claimed or
    cancelled meanwhile are left alone, also when they are pending again: their messages are gone.

    ``state || ''`` keeps the planner, which may think that few jobs are pending, from reading them all by ``furrow_job_due``.
    The commit does not wait for the disk, nor a claim for it: a lost mark means a second message, which the claim drops."""
    tried = json.dumps({str(id): attempt for id, attempt in attempts.items() if attempt})
    (answer,) = in_one_go(connection, [(_MARK, (plain(sorted(attempts)), tried, term))], durable=False, patient=False)
    return answer.rowcount


def window(connection: Connection, queue: str, since: dt.datetime | None = None) -> Window:
    """How many jobs of a queue RabbitMQ holds, and for how long the oldest has been there; of those sent from ``since`` on."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT count(*), coalesce(date_part('epoch', clock_timestamp()) - date_part('epoch', min(queued_at)), 0),
                      coalesce(min(queued_at), statement_timestamp())
               FROM {JOB} WHERE state = 'queued' AND queue = %s AND queued_at >= %s""",
            [queue, since or "-infinity"],
        )
        return Window(*cursor.fetchone())


def prune(connection: Connection, state: State, age: float, limit: int, oldest: float) -> int:
    """Delete jobs that ended in this state ``age`` seconds ago or before (but no more than ``oldest``), with all that belongs
    to them; returns how many. Those that keep their unique key for a time are left, and those of workflows.

    By arrays, so that a wrong estimate cannot make it read whole tables."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""WITH old AS MATERIALIZED (
                 SELECT id FROM {JOB} WHERE state = %s AND finished_at < statement_timestamp() - %s * interval '1 second'
                   AND finished_at >= statement_timestamp() - %s * interval '1 second'
                   AND node IS NULL
                   AND (unique_key IS NULL OR unique_expires_at IS NULL OR unique_expires_at <= statement_timestamp())
                 ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED
               ), lines AS (DELETE FROM {LOG_LINE} WHERE job_id = ANY(ARRAY(SELECT id FROM old))
               ), output AS (DELETE FROM {OUTPUT_CHUNK} WHERE job_id = ANY(ARRAY(SELECT id FROM old))
               ), steps AS (DELETE FROM {STEP} WHERE job_id = ANY(ARRAY(SELECT id FROM old))
               ), approvals AS (DELETE FROM {APPROVAL} WHERE job_id = ANY(ARRAY(SELECT id FROM old))
               ), signals AS (DELETE FROM {SIGNAL} WHERE target = ANY(ARRAY(SELECT id FROM old))
               ), attempts AS (DELETE FROM {ATTEMPT} WHERE job_id = ANY(ARRAY(SELECT id FROM old)))
               DELETE FROM {JOB} WHERE id = ANY(ARRAY(SELECT id FROM old))""",
            (str(state), age, oldest, limit),
        )
        return int(cursor.rowcount)


def lead(connection: Connection, role: str, holder: str, lease: float, over: dt.datetime | None = None) -> int | None:
    """Take or keep a role's lease; the term while it is held, ``None`` while another holds it. Another's is over by the
    database's clock, or when its end is still ``over``: the caller has seen it unchanged for long enough."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {LEADER} AS l (role, holder, term, lease_until, trouble)
               VALUES (%(role)s, %(holder)s, 1, clock_timestamp() + %(lease)s * interval '1 second', '')
               ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until,
                 term = l.term + (l.holder <> excluded.holder OR l.lease_until < clock_timestamp())::int
               WHERE l.holder = excluded.holder OR l.lease_until < clock_timestamp() OR l.lease_until = %(over)s
               RETURNING term""",
            {"role": role, "holder": holder, "lease": lease, "over": over},
        )
        row = cursor.fetchone()
        return row[0] if row else None
