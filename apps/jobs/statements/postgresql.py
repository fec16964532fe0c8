"""The statements for PostgreSQL: arrays in, sets out, one round trip each."""

import datetime as dt
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from apps.jobs.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from apps.jobs.statements import Claimed, Due, Group, Position, Settlement, Window
from apps.jobs.states import State

#: A statement's text and parameters.
Statement = tuple[str, Sequence[Any]]
#: From this many rows on COPY is faster than INSERT.
COPY_FROM = 20


def prepare(connection: Connection) -> None:
    """Pin the plans of a connection that only looks rows up by key: on a table that grew since its last ANALYZE the planner
    prefers a hash join over a sequential scan, and a prepared statement keeps that plan."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")


def write(connection: Connection, worker: uuid.UUID, group: Group) -> list[Claimed]:
    """A worker's group commit: all of it in one transaction and one round trip; returns what could be claimed.

    A claim alone does not wait for the disk: a lost one is claimed again, and the stale run is fenced off. After an error the
    connection must be dropped."""
    given: list[Statement] = []
    if group.disowned:
        given.append((_DISOWN, (_plain(group.disowned), worker)))
    if group.progress:  # before the runs are settled: afterwards they are not running any more
        given.append((_PROGRESS, _columns(group.progress)))
    if group.settlements:
        given.append(_settling(group.settlements))
    if group.logs:
        given.append((_LOG, _columns(group.logs)))
    if group.claims:  # last, so that its answer is the last
        given.append(_claiming(worker, group.claims))
    answers = _in_one_go(connection, given, durable=bool(group.settlements))
    return list(map(Claimed._make, answers[-1].fetchall())) if group.claims else []


def _in_one_go(
    connection: Connection, given: Sequence[Statement], *, durable: bool = True
) -> "list[psycopg.Cursor[tuple[Any, ...]]]":
    """Run these in the caller's transaction or one of their own, in libpq's pipeline mode: all is sent, then all is read."""
    connection.ensure_connection()
    link: psycopg.Connection[tuple[Any, ...]] = connection.connection
    with connection.wrap_database_errors, link.pipeline():
        own = not connection.in_atomic_block
        if own:
            link.execute("BEGIN")
        if own and not durable:
            link.execute("SET LOCAL synchronous_commit = off")
        answers = [link.execute(text, parameters, prepare=True) for text, parameters in given]
        if own:
            link.execute("COMMIT")
    return answers


def insert_jobs(connection: Connection, ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any]) -> int:
    """Insert a pending job for each id and arguments text; the other columns are the same for all. Returns how many: of
    less than ``COPY_FROM`` rows those whose id exists are left out, which does not abort the caller's transaction."""
    names = ["id", "arguments", *columns]
    shared = tuple(columns.values())
    with connection.cursor() as cursor:
        if len(ids) < COPY_FROM:
            row = f"(%s, %s::jsonb{', %s' * len(shared)})"
            cursor.execute(
                f"INSERT INTO jobs_job ({', '.join(names)}) VALUES {', '.join([row] * len(ids))} ON CONFLICT (id) DO NOTHING",
                [value for id, text in zip(ids, texts, strict=True) for value in (id, text, *shared)],
            )
            return int(cursor.rowcount)
        with connection.wrap_database_errors, cursor.copy(f"COPY jobs_job ({', '.join(names)}) FROM STDIN") as copy:
            for id, text in zip(ids, texts, strict=True):
                copy.write_row((id, text, *shared))
    return len(ids)


_CLAIM = """
UPDATE jobs_job SET state = 'running', attempt = attempt + 1, worker = %s, started_at = clock_timestamp(),
                    progress = NULL, progress_note = '', error = ''
WHERE id = ANY(%s::uuid[]) AND state IN ('pending', 'queued') AND run_at <= clock_timestamp()
  AND (expires_at IS NULL OR expires_at > clock_timestamp())
RETURNING id::text, kind, arguments::text, attempt, excused, max_attempts"""


def claim(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> list[Claimed]:
    """Give these jobs to a worker; those that may not run now (cancelled, settled, expired, not due) are left out."""
    with _raw(connection) as cursor:
        return list(map(Claimed._make, cursor.execute(*_claiming(worker, ids)).fetchall()))


def _claiming(worker: uuid.UUID, ids: Collection[str]) -> Statement:
    return _CLAIM, (worker, _plain(sorted(ids)))


_DISOWN = """
UPDATE jobs_job SET state = 'pending', worker = NULL, queued_at = NULL, excused = excused + 1,
                    error = 'its worker did not know of it: an answer or a commit of the database was lost'
WHERE id = ANY(%s::uuid[]) AND state = 'running' AND worker = %s"""


def disown(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> None:
    """Give back jobs that are this worker's by the database, and of which it does not know; the attempt does not count."""
    with _raw(connection) as cursor:
        cursor.execute(_DISOWN, (_plain(ids), worker))


# By primary key: ``state || ''`` matches no partial index. The planner always thinks that hardly anything is running, and would
# join what is given with all that the index job_running has, dead entries included: 295 ms instead of 10 (docs/queue_table.md).
_SETTLE = """
WITH given AS (
  SELECT * FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::int[], %s::float8[], %s::float8[], %s::float8[],
                       %s::text[], %s::text[], %s::text[], %s::text[])
  AS given(id, attempt, state, outcome, pid, started, finished, delay, result, error, error_type, traceback)
), moved AS (
  UPDATE jobs_job j SET
    state = CASE WHEN given.state = 'pending' AND j.cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE given.state END,
    finished_at = CASE WHEN given.state = 'pending' AND j.cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
    run_at = CASE WHEN given.delay IS NULL THEN j.run_at ELSE clock_timestamp() + given.delay * interval '1 second' END,
    started_at = CASE WHEN given.started = 0 THEN j.started_at ELSE to_timestamp(given.started) END,
    excused = j.excused + (given.outcome IN ('snoozed', 'interrupted'))::int,
    queued_at = CASE WHEN given.state = 'pending' THEN NULL ELSE j.queued_at END,
    result = given.result::jsonb, error = given.error
  FROM given WHERE j.id = given.id AND j.attempt = given.attempt AND j.state || '' = 'running'
  RETURNING j.id, given.attempt, given.outcome, j.worker, given.pid, j.started_at,
            CASE WHEN given.finished = 0 THEN clock_timestamp() ELSE to_timestamp(given.finished) END,
            given.error_type, given.error, given.traceback
)
INSERT INTO jobs_attempt (job_id, number, outcome, worker, pid, started_at, finished_at, error_type, error, traceback)
SELECT * FROM moved
RETURNING job_id::text"""


def settle(connection: Connection, settlements: Sequence[Settlement]) -> set[str]:
    """Settle runs and record their attempts; returns the jobs for which the attempt was still the current run."""
    if not settlements:
        return set()
    with _raw(connection) as cursor:
        return {row[0] for row in cursor.execute(*_settling(settlements)).fetchall()}


def _settling(settlements: Sequence[Settlement]) -> Statement:
    # The fields are in the order of the statement; from the result on they may be any text.
    columns = list(zip(*settlements, strict=True))
    return _SETTLE, [*map(_plain, columns[:8]), *map(_texts, columns[8:])]


_LOG = """
INSERT INTO jobs_logline (job_id, attempt, at, level, logger, message)
SELECT id, attempt, to_timestamp(at), level, logger, message
FROM unnest(%s::uuid[], %s::int[], %s::float8[], %s::smallint[], %s::text[], %s::text[])
AS given(id, attempt, at, level, logger, message)"""

_PROGRESS = """
UPDATE jobs_job j SET progress = given.fraction, progress_note = given.note
FROM unnest(%s::uuid[], %s::int[], %s::float8[], %s::text[]) AS given(id, attempt, fraction, note)
WHERE j.id = given.id AND j.attempt = given.attempt AND j.state || '' = 'running'"""


def due(connection: Connection, queue: str, limit: int, since: Mapping[int, Position] | None = None) -> Due:
    """The next due jobs of a queue, best priority first, then the longest due; of each priority those after ``since``.

    Looked up per priority: a scan of the whole index in its order would walk over all jobs that are scheduled for later at a
    better priority. For the same reason the time is ``statement_timestamp()``: a volatile one is no index condition."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT since.level, coalesce(found.run_at, statement_timestamp()), coalesce(found.id, %s), found.kind
                FROM {_SINCE} LEFT JOIN LATERAL (
                  SELECT id, kind, run_at FROM jobs_job
                  WHERE state = 'pending' AND queue = %s AND priority = since.level AND (run_at, id) > (since.run_at, since.id)
                    AND run_at <= statement_timestamp()
                  ORDER BY run_at, id LIMIT %s
                ) AS found ON true LIMIT %s""",
            [_LOWEST, *_levels(since), queue, limit, limit + LOWEST_PRIORITY],
        )
        found = Due([], {})
        for level, run_at, id, kind in cursor:
            if len(found.jobs) == limit:
                break
            found.reached[level] = run_at, id
            if kind is not None:  # the row that says that a priority has no more
                found.jobs.append((id, kind))
        return found


def seconds_until_due(connection: Connection, queue: str, since: Mapping[int, Position] | None = None) -> float | None:
    """Seconds until the next pending job of this queue is due (0 or less: now); ``None`` when there is none after ``since``."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT extract(epoch FROM min(found.run_at) - clock_timestamp())::float8
                FROM {_SINCE}, LATERAL (
                  SELECT run_at FROM jobs_job
                  WHERE state = 'pending' AND queue = %s AND priority = since.level AND (run_at, id) > (since.run_at, since.id)
                  ORDER BY run_at, id LIMIT 1
                ) AS found""",
            [*_levels(since), queue],
        )
        row = cursor.fetchone()
        return None if row is None else row[0]


_LOWEST = uuid.UUID(int=0)
_SINCE = "unnest(%s::smallint[], %s::timestamptz[], %s::uuid[]) AS since(level, run_at, id)"


def _levels(since: Mapping[int, Position] | None) -> tuple[list[int], list[Any], list[uuid.UUID]]:
    """The parameters of ``_SINCE``."""
    levels = list(range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1))
    positions: list[tuple[Any, uuid.UUID]] = [(since or {}).get(level, ("-infinity", _LOWEST)) for level in levels]
    return levels, [str(run_at) for run_at, _ in positions], [id for _, id in positions]


_MARK = """
UPDATE jobs_job SET state = 'queued', queued_at = clock_timestamp()
WHERE id = ANY(%s::uuid[]) AND state || '' = 'pending' AND run_at <= clock_timestamp()
  AND (SELECT term FROM jobs_leader WHERE role = 'dispatcher') = %s"""


def mark_queued(connection: Connection, ids: Sequence[uuid.UUID], term: int) -> int:
    """Mark published jobs as queued, if this term still leads; those claimed or cancelled meanwhile are left alone.

    ``state || ''`` keeps the planner, which may think that few jobs are pending, from reading them all by ``job_due``. The
    commit does not wait for the disk, nor a claim for it: a lost mark means a second message, which the claim drops."""
    (answer,) = _in_one_go(connection, [(_MARK, (_plain(sorted(ids)), term))], durable=False)
    return answer.rowcount


def window(connection: Connection, queue: str, since: dt.datetime | None = None) -> Window:
    """How many jobs of a queue RabbitMQ holds, and for how long the oldest has been there; of those sent from ``since`` on."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(queued_at)), 0)::float8,
                      coalesce(min(queued_at), statement_timestamp())
               FROM jobs_job WHERE state = 'queued' AND queue = %s AND queued_at >= %s""",
            [queue, since or "-infinity"],
        )
        return Window(*cursor.fetchone())


def prune(connection: Connection, state: State, age: float, limit: int) -> int:
    """Delete jobs that ended in this state ``age`` seconds ago or before, with all that belongs to them; returns how many.

    By arrays, so that a wrong estimate cannot make it read whole tables."""
    with _raw(connection) as cursor:
        cursor.execute(
            """WITH old AS MATERIALIZED (
                 SELECT id FROM jobs_job WHERE state = %s AND finished_at < statement_timestamp() - %s * interval '1 second'
                 ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED
               ), lines AS (DELETE FROM jobs_logline WHERE job_id = ANY(ARRAY(SELECT id FROM old))
               ), attempts AS (DELETE FROM jobs_attempt WHERE job_id = ANY(ARRAY(SELECT id FROM old)))
               DELETE FROM jobs_job WHERE id = ANY(ARRAY(SELECT id FROM old))""",
            (str(state), age, limit),
        )
        return int(cursor.rowcount)


def lead(connection: Connection, role: str, holder: str, lease: float) -> int | None:
    """Take or keep a role's lease; the term while it is held, ``None`` while another holds it. By the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO jobs_leader AS l (role, holder, term, lease_until, trouble)
               VALUES (%(role)s, %(holder)s, 1, clock_timestamp() + %(lease)s * interval '1 second', '')
               ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until,
                 term = l.term + (l.holder <> excluded.holder OR l.lease_until < clock_timestamp())::int
               WHERE l.holder = excluded.holder OR l.lease_until < clock_timestamp()
               RETURNING term""",
            {"role": role, "holder": holder, "lease": lease},
        )
        row = cursor.fetchone()
        return row[0] if row else None


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


def _plain(values: Iterable[Any]) -> str:
    """An array's text, of numbers, ids and other words that need no quotes: psycopg takes ten times as long for a list."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _texts(values: Iterable[str | None]) -> str:
    """An array's text, of any text."""
    quoted = ["NULL" if value is None else '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"' for value in values]
    return "{" + ",".join(quoted) + "}"


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """The columns of these rows as arrays' texts."""
    return [(_texts if isinstance(column[0], str) else _plain)(column) for column in zip(*rows, strict=True)]


@contextmanager
def _raw(connection: Connection) -> "Iterator[psycopg.Cursor[Any]]":
    """A server-side binding cursor on Django's connection: parameters go in binary, not pasted into the text. Its errors are
    Django's, like those of every other cursor."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor
