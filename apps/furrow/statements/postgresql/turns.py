"""Tenants that share a queue take turns."""

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.postgresql.link import plain, raw, texts
from furrow.tables import JOB


def tenants(connection: Connection, queue: str, after: str | None, limit: int) -> list[str]:
    """Tenants (fair keys) with due jobs that wait for their turn, in their order, from behind one on (``None``: from all).

    The limit stands outside of the recursion, which goes on only while rows are wanted: tenants that have nothing due yet are
    passed over, however many there are."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH RECURSIVE jumps(key) AS (
                 (SELECT fair_key FROM {JOB} WHERE state = 'pending' AND held = 'fair' AND queue = %(queue)s
                  AND fair_key {">=" if after is None else ">"} %(after)s ORDER BY fair_key LIMIT 1)
                 UNION ALL
                 SELECT (SELECT fair_key FROM {JOB} WHERE state = 'pending' AND held = 'fair' AND queue = %(queue)s
                         AND fair_key > jumps.key ORDER BY fair_key LIMIT 1)
                 FROM jumps WHERE jumps.key IS NOT NULL
               )
               SELECT key FROM jumps WHERE key IS NOT NULL AND EXISTS (
                 SELECT FROM generate_series(0, 9) AS level, LATERAL (
                   SELECT FROM {JOB} WHERE state = 'pending' AND held = 'fair' AND queue = %(queue)s AND fair_key = key
                     AND priority = level AND run_at <= statement_timestamp() LIMIT 1) AS due) LIMIT %(limit)s""",
            {"queue": queue, "after": after or "", "limit": limit},
        )
        return [row[0] for row in cursor]


def take_turns(connection: Connection, queue: str, shares: Mapping[str, int]) -> int:
    """Let go so many due jobs of each tenant, best priority first; returns how many."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""WITH due AS MATERIALIZED (
                 SELECT due.id FROM unnest(%s::text[], %s::int[]) AS given(key, share), LATERAL (
                   SELECT found.id FROM generate_series(0, 9) AS level, LATERAL (
                     SELECT id, priority, run_at FROM {JOB} WHERE state = 'pending' AND held = 'fair' AND queue = %s
                       AND fair_key = given.key AND priority = level AND run_at <= statement_timestamp()
                     ORDER BY run_at, id LIMIT given.share FOR NO KEY UPDATE SKIP LOCKED
                   ) AS found ORDER BY found.priority, found.run_at, found.id LIMIT given.share
                 ) AS due
               )
               UPDATE {JOB} SET held = '' WHERE id = ANY(ARRAY(SELECT id FROM due))
                 AND state || '' = 'pending' AND held || '' = 'fair'""",
            (texts(shares), plain(shares.values()), queue),
        )
        return int(cursor.rowcount)
