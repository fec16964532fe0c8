"""What happened is counted; :mod:`furrow.statements.rollups` says how."""

from collections.abc import Collection
from typing import LiteralString

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.postgresql.clock import clock
from furrow.statements.postgresql.link import plain, raw
from furrow.statements.rollups import BOUNDS, GRAINS, SPAN, TIMELESS, WAIT, before, begin
from furrow.tables import ERROR_COUNT, ERROR_GROUP, JOB, ROLLUP

_NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"
_AT = f"floor(date_part('epoch', statement_timestamp()) / {SPAN})::bigint * {SPAN}, {SPAN}"
_BOUNDS = f"'{{{','.join(map(str, BOUNDS))}}}'::float8[]"
_KEY = "at, seconds, kind, queue, worker, writer, measure, bucket"
_ADD = f"ON CONFLICT ({_KEY}) DO UPDATE SET count = r.count + excluded.count, total = r.total + excluded.total"
_INTO = f"INSERT INTO {ROLLUP} AS r ({_KEY}, count, total)"

#: Counts the rows of ``moved``: kind, queue, worker, measure, pid (0: it did not run), started_at, finished_at, wait (seconds).
COUNTED = f"""{_INTO}
  SELECT {_AT}, kind, queue, coalesce(worker, {_NOBODY}), pg_backend_pid(), measure,
         coalesce(width_bucket(took, {_BOUNDS}), {TIMELESS}) AS bucket, count(*), coalesce(sum(took), 0)
  FROM (SELECT kind, queue, worker, measure, CASE WHEN pid <> 0 THEN date_part('epoch', finished_at - started_at) END AS took
        FROM moved
        UNION ALL SELECT kind, queue, worker, '{WAIT}', wait FROM moved WHERE wait IS NOT NULL) AS times
  GROUP BY kind, queue, worker, measure, bucket
  {_ADD}"""

_ERROR_KEY = "at, seconds, kind, fingerprint, writer"
_ADD_ERRORS = f"ON CONFLICT ({_ERROR_KEY}) DO UPDATE SET runs = c.runs + excluded.runs, jobs = c.jobs + excluded.jobs"
_INTO_ERRORS = f"INSERT INTO {ERROR_COUNT} AS c ({_ERROR_KEY}, runs, jobs)"

#: Names the errors of ``moved`` that were not known, in one order for all writers, and counts them.
NAMED = f"""INSERT INTO {ERROR_GROUP} (kind, fingerprint, error_type, message)
  SELECT DISTINCT ON (kind, fingerprint) kind, fingerprint, error_type, left(error, 500) FROM moved WHERE fingerprint <> ''
  ORDER BY kind, fingerprint
  ON CONFLICT DO NOTHING"""
ERRORS_COUNTED = f"""{_INTO_ERRORS}
  SELECT {_AT}, kind, fingerprint, pg_backend_pid(), count(*), count(*) FILTER (WHERE measure = 'failed')
  FROM moved WHERE fingerprint <> '' GROUP BY kind, fingerprint
  {_ADD_ERRORS}"""


# What somebody cancelled in a transaction that is still open is counted in a row that is locked: it is rolled later.
_OLD = "ctid = ANY(ARRAY(SELECT ctid FROM {} WHERE seconds = %s AND at < %s FOR UPDATE SKIP LOCKED))"


def count_cancelled(connection: Connection, ids: Collection[object]) -> None:
    """Count jobs that were cancelled, or failed, before they began; in the transaction that does so."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""{_INTO} SELECT {_AT}, kind, queue, {_NOBODY}, pg_backend_pid(), state, {TIMELESS}, count(*), 0
                FROM {JOB} WHERE id = ANY(%s::uuid[]) GROUP BY kind, queue, state {_ADD}""",
            (plain(ids),),
        )


def roll(connection: Connection) -> int:
    """Roll what is old into longer spans; returns how many rows that were. One statement deletes a row and adds it."""
    rolled, now = 0, clock(connection).timestamp()
    for grain in GRAINS:
        worker = "worker" if grain.keeps_worker else _NOBODY
        key = f"{begin(grain)}, {grain.into}, kind"
        rolled += _moved(
            connection,
            f"DELETE FROM {ROLLUP} WHERE {_OLD.format(ROLLUP)} RETURNING {_KEY}, count, total",
            f"""{_INTO} SELECT {key}, queue, {worker}, 0, measure, bucket, sum(count), sum(total) FROM old
                GROUP BY 1, 3, 4, 5, 7, 8 {_ADD}""",
            (grain.seconds, before(grain, now)),
        )
        rolled += _moved(
            connection,
            f"DELETE FROM {ERROR_COUNT} WHERE {_OLD.format(ERROR_COUNT)} RETURNING {_ERROR_KEY}, runs, jobs",
            f"{_INTO_ERRORS} SELECT {key}, fingerprint, 0, sum(runs), sum(jobs) FROM old GROUP BY 1, 3, 4 {_ADD_ERRORS}",
            (grain.seconds, before(grain, now)),
        )
    return rolled


def _moved(connection: Connection, delete: LiteralString, insert: LiteralString, parameters: tuple[int, int]) -> int:
    with raw(connection) as cursor:
        cursor.execute(f"WITH old AS ({delete}), new AS ({insert}) SELECT count(*) FROM old", parameters)
        row = cursor.fetchone()
        return int(row[0]) if row else 0
