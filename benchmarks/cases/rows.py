"""Rows by the hundred thousand, made inside PostgreSQL."""

from typing import Any, LiteralString

import psycopg


def uuid7(milliseconds: str) -> str:
    """An SQL expression: a UUIDv7 of this many milliseconds since the epoch (another SQL expression)."""
    stamped = f"overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send({milliseconds}) FROM 3) FROM 1 FOR 6)"
    return f"encode(set_bit(set_bit({stamped}, 52, 1), 53, 1), 'hex')::uuid"


_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def pending(link: psycopg.Connection[Any], jobs: int, *, priority: int = 5, delay: str = "0", keys: int = 0) -> None:
    """Jobs that are due after an interval (SQL text); one transaction, so all of them at the same time. With ``keys`` each
    needs the lock of one of so many keys."""
    link.execute(
        f"""INSERT INTO furrow_job (id, kind, arguments, priority, run_at, limits)
            SELECT {uuid7(_NOW)}, 'furrow_kinds.noop', '{{"work": 0}}', %s, now() + %s::interval,
                   CASE WHEN %s > 0 THEN
                     jsonb_build_array(jsonb_build_object('key', 'lock:' || i %% greatest(%s, 1), 'slots', 1)) END
            FROM generate_series(1, %s) AS i""",
        (priority, delay, keys, keys, jobs),
    )


def finished(link: psycopg.Connection[Any], jobs: int, *, newest: float, days: float) -> None:
    """Jobs that succeeded, spread over some days the first of them ``newest`` days ago, each with its attempt."""
    link.execute(
        f"""WITH made AS (
              SELECT {uuid7("(extract(epoch FROM at) * 1000)::bigint")} AS id, at
              FROM (SELECT now() - (%s - i::float8 / %s * %s) * interval '1 day' - interval '1 minute' AS at
                    FROM generate_series(1, %s) AS i) AS times
            ), attempts AS (
              INSERT INTO furrow_attempt
                (job_id, number, outcome, worker, pid, started_at, finished_at, error_type, error, traceback)
              SELECT id, 1, 'succeeded', '00000000-0000-7000-8000-000000000000', 4711, at, at + interval '20 ms', '', '', ''
              FROM made
            )
            INSERT INTO furrow_job (id, kind, state, arguments, created_at, run_at, queued_at, started_at, finished_at, attempt,
                                  worker, result)
            SELECT id, 'furrow_kinds.noop', 'succeeded', '{{"work": 0}}', at, at, at, at, at + interval '20 ms', 1,
                   '00000000-0000-7000-8000-000000000000', '0'
            FROM made""",
        (newest, jobs, days, jobs),
    )


def finished_count(link: psycopg.Connection[Any]) -> int:
    """Jobs that have ended."""
    return _number(link, "SELECT count(*) FROM furrow_job WHERE finished_at IS NOT NULL")


def queued(link: psycopg.Connection[Any]) -> int:
    """Jobs that were handed to RabbitMQ and are not claimed."""
    return _number(link, "SELECT count(*) FROM furrow_job WHERE state = 'queued'")


def unfinished(link: psycopg.Connection[Any]) -> int:
    """Jobs that are due and not recorded as ended."""
    return _number(
        link,
        """SELECT (SELECT count(*) FROM furrow_job WHERE state = 'queued')
                + (SELECT count(*) FROM furrow_job WHERE state = 'running')
                + (SELECT count(*) FROM furrow_job WHERE state = 'pending' AND run_at <= clock_timestamp())""",
    )


def sizes(link: psycopg.Connection[Any]) -> dict[str, float]:
    """MiB of the job table (without indexes) and of each of its indexes."""
    found = link.execute(
        """SELECT relname, pg_relation_size(oid) / 1048576.0 FROM pg_class
           WHERE oid = 'furrow_job'::regclass
             OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'furrow_job'::regclass)
           ORDER BY relname"""
    )
    return {name: float(size) for name, size in found}


def _number(link: psycopg.Connection[Any], query: LiteralString) -> int:
    row = link.execute(query).fetchone()
    return int(row[0]) if row else 0
