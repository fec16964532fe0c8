"""A lived-in database, made inside PostgreSQL: jobs of a week in all states, attempts, log lines, workers, a leader.

Also for tests: ``populate(link, Amounts(jobs=10_000))``. The tables must be migrated, and empty of jobs.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from furrow.statements.rollups import BOUNDS

from benchmarks.cases.rows import uuid7

#: Jobs belong to so many kinds and queues, and end with so many different errors.
KINDS, QUEUES, ERRORS = 20, 4, 40
DAYS = 7


@dataclass(frozen=True)
class Amounts:
    """How many of what."""

    jobs: int = 1_000_000
    failed: int = 50_000
    cancelled: int = 5_000
    #: Not ended: due, scheduled for later, in RabbitMQ, running.
    due: int = 20_000
    later: int = 5_000
    queued: int = 500
    running: int = 20
    log_lines: int = 200_000
    workers: int = 5

    @property
    def unfinished(self) -> int:
        """Jobs that have not ended."""
        return self.due + self.later + self.queued + self.running

    @classmethod
    def scaled(cls, jobs: int) -> "Amounts":
        """The same mixture of fewer or more jobs."""
        share = jobs / cls.jobs
        return cls(
            jobs=jobs,
            failed=int(cls.failed * share),
            cancelled=int(cls.cancelled * share),
            due=int(cls.due * share),
            later=int(cls.later * share),
            queued=int(cls.queued * min(1, share)),
            log_lines=int(cls.log_lines * share),
        )


def populate(link: psycopg.Connection[Any], amounts: Amounts) -> None:
    """Fill the tables, and gather the planner's statistics; ``link`` commits by itself. A million jobs take minutes."""
    with link.transaction():
        link.execute("SELECT setseed(0.5)")  # the same database every time
        _workers(link, amounts)
        _ended(link, amounts)
        _unfinished(link, amounts)
        _log_lines(link, amounts)
        _counts(link)
    link.execute("VACUUM ANALYZE")


def _workers(link: psycopg.Connection[Any], amounts: Amounts) -> None:
    """Living for a day, so that pages have something to show; none consumes one of the queues. And a dispatcher that leads."""
    link.execute(
        """INSERT INTO furrow_worker (id, node, pid, processes, queues, kinds, lease_until, lost)
           SELECT ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, 'worker' || i || '@example', 4710 + i, 8,
                  '["default", "mail", "reports"]', '[]', now() + interval '1 day', false
           FROM generate_series(1, %s) AS i""",
        (amounts.workers,),
    )
    link.execute(
        """INSERT INTO furrow_leader (role, holder, term, lease_until, trouble)
           VALUES ('dispatcher', 'example:1:abcdef', 1, now() + interval '1 day', '')"""
    )


#: Of a job's number ``i``: its kind, queue, worker, arguments and error. The errors differ in numbers only, but for their type.
_OF = f"""
 'example.kind_' || lpad((i %% {KINDS})::text, 2, '0') AS kind,
 (ARRAY['default', 'mail', 'reports', 'imports'])[1 + i %% {QUEUES}] AS queue,
 ('00000000-0000-7000-8000-' || lpad((1 + i %% 5)::text, 12, '0'))::uuid AS worker,
 jsonb_build_object('account_id', i %% 1000, 'text', 'order ' || i) AS arguments,
 'Error' || lpad((i %% {ERRORS})::text, 2, '0') AS error_type,
 'Error' || lpad((i %% {ERRORS})::text, 2, '0') || ': account ' || i %% 1000 || ' was refused' AS error"""


def _ended(link: psycopg.Connection[Any], amounts: Amounts) -> None:
    """Spread evenly over the days until a second ago; the failed and cancelled ones lie evenly among them."""
    ended = amounts.jobs - amounts.unfinished
    link.execute(
        f"""WITH given AS (
              SELECT i, now() - interval '1 second' - (%(ended)s - i)::float8 / %(ended)s * {DAYS} * interval '1 day' AS at,
                     CASE WHEN (i * %(failed)s::bigint) %% %(ended)s < %(failed)s THEN 'failed'
                          WHEN ((i + 7) * %(cancelled)s::bigint) %% %(ended)s < %(cancelled)s THEN 'cancelled'
                          ELSE 'succeeded' END AS state,
                     interval '1 ms' * (2 ^ (random() * 12)) AS wait, interval '1 ms' * (2 ^ (random() * 14)) AS run, {_OF}
              FROM generate_series(1, %(ended)s) AS i
            ), made AS MATERIALIZED (
              SELECT {uuid7("(extract(epoch FROM at - run - wait) * 1000)::bigint")} AS id, given.* FROM given
            ), attempts AS (
              INSERT INTO furrow_attempt
                (job_id, number, outcome, worker, pid, started_at, finished_at, error_type, error, traceback)
              SELECT id, 1, state, worker, 4711, at - run, at, CASE WHEN state = 'failed' THEN error_type ELSE '' END,
                     CASE WHEN state = 'failed' THEN error ELSE '' END,
                     CASE WHEN state = 'failed' THEN
                       E'Traceback (most recent call last):\\n  File "tasks/example.py", line 7, in run\\n' || error ELSE '' END
              FROM made
            )
            INSERT INTO furrow_job (id, kind, queue, state, arguments, created_at, run_at, queued_at, started_at, finished_at,
                                  attempt, max_attempts, worker, result, error, fingerprint)
            SELECT id, kind, queue, state, arguments, at - run - wait, at - run - wait, at - run, at - run, at, 1,
                   1, worker, 'null', CASE WHEN state = 'failed' THEN error ELSE '' END,
                   CASE WHEN state = 'failed' THEN left(md5(error_type), 16) ELSE '' END
            FROM made""",
        {"ended": max(1, ended), "failed": amounts.failed, "cancelled": amounts.cancelled},
    )


def _unfinished(link: psycopg.Connection[Any], amounts: Amounts) -> None:
    for state, jobs, due in (
        ("pending", amounts.due, "now() - random() * interval '10 min'"),
        ("pending", amounts.later, "now() + random() * interval '7 days'"),
        ("queued", amounts.queued, "now() - random() * interval '10 s'"),
        ("running", amounts.running, "now() - random() * interval '5 min'"),
    ):
        link.execute(
            f"""INSERT INTO furrow_job (id, kind, queue, state, arguments, run_at, queued_at, started_at, attempt, worker)
                SELECT {uuid7("(extract(epoch FROM now()) * 1000)::bigint")}, kind, queue, %(state)s::text, arguments, {due},
                       CASE WHEN %(state)s::text IN ('queued', 'running') THEN now() END,
                       CASE WHEN %(state)s::text = 'running' THEN now() END, (%(state)s::text = 'running')::int,
                       CASE WHEN %(state)s::text = 'running' THEN worker END
                FROM (SELECT {_OF} FROM generate_series(1, %(jobs)s) AS i) AS given""",
            {"state": state, "jobs": jobs},
        )


def _log_lines(link: psycopg.Connection[Any], amounts: Amounts) -> None:
    """Ten a job, of the newest jobs that ended."""
    link.execute(
        """INSERT INTO furrow_logline (job_id, attempt, at, level, logger, message)
           SELECT id, 1, started_at, 20, 'tasks.example', 'line ' || n
           FROM (SELECT id, started_at FROM furrow_job WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT %s) AS newest,
                generate_series(1, 10) AS n""",
        (amounts.log_lines // 10,),
    )


def _counts(link: psycopg.Connection[Any]) -> None:
    """As they are after they were rolled: minutes of the last two hours, ten minutes of two days, then hours."""
    at = """CASE WHEN finished_at > now() - interval '2 hours' THEN 60 WHEN finished_at > now() - interval '2 days' THEN 600
            ELSE 3600 END AS seconds, extract(epoch FROM finished_at)::bigint AS at"""
    bounds = "'{" + ",".join(map(str, BOUNDS)) + "}'::float8[]"
    worker = "CASE WHEN seconds = 60 THEN worker ELSE '00000000-0000-0000-0000-000000000000' END"
    link.execute(
        f"""WITH ended AS (SELECT *, {at} FROM furrow_job WHERE finished_at IS NOT NULL),
              times AS (SELECT *, state AS measure, extract(epoch FROM finished_at - started_at)::float8 AS took FROM ended
                        UNION ALL SELECT *, 'wait', extract(epoch FROM started_at - run_at)::float8 FROM ended)
            INSERT INTO furrow_rollup (at, seconds, kind, queue, worker, writer, measure, bucket, count, total)
            SELECT at - at % seconds, seconds, kind, queue, {worker}, 0, measure, width_bucket(took, {bounds}), count(*),
                   sum(took)
            FROM times GROUP BY 1, 2, 3, 4, 5, 7, 8"""
    )
    link.execute(
        f"""WITH failed AS (SELECT *, {at} FROM furrow_job WHERE state = 'failed'), groups AS (
              INSERT INTO furrow_errorgroup (kind, fingerprint, error_type, message, first_seen)
              SELECT kind, fingerprint, split_part(min(error), ':', 1), min(error), min(finished_at) FROM failed
              GROUP BY kind, fingerprint
            )
            INSERT INTO furrow_errorcount (at, seconds, kind, fingerprint, writer, runs, jobs)
            SELECT at - at % seconds, seconds, kind, fingerprint, 0, count(*), count(*) FROM failed GROUP BY 1, 2, 3, 4"""
    )
