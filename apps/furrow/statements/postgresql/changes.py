"""Limits of jobs that wait are changed: by a declaration, a setting, a move to another queue."""

import uuid
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.limits.stored import is_legible
from furrow.statements import RuleColumns, Waiting
from furrow.statements.postgresql.link import plain, raw, texts
from furrow.tables import JOB


def set_rules(connection: Connection, rows: Sequence[RuleColumns]) -> None:
    """Write what the rules of pending jobs come to."""
    with raw(connection) as cursor:
        given = list(zip(*rows, strict=True))
        cursor.execute(
            f"""UPDATE {JOB} j SET limits = given.limits::jsonb, order_key = given.order_key, fair_key = given.fair_key,
                      held = given.held
               FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[])
                 AS given(id, limits, order_key, fair_key, held)
               WHERE j.id = given.id AND j.id = ANY(%s::uuid[]) AND j.state || '' = 'pending'""",
            (plain(given[0]), *map(texts, given[1:]), plain(given[0])),
        )


def waited_for(connection: Connection, after: str, limit: int) -> list[Waiting]:
    """The keys that jobs wait for, in their order, from behind one on; each with its first job."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""WITH RECURSIVE jumps(key) AS (
                 (SELECT held FROM {JOB} WHERE state = 'pending' AND held <> '' AND held > %(after)s ORDER BY held LIMIT 1)
                 UNION ALL
                 SELECT (SELECT held FROM {JOB} WHERE state = 'pending' AND held <> '' AND held > jumps.key
                         ORDER BY held LIMIT 1)
                 FROM jumps WHERE jumps.key IS NOT NULL
               )
               SELECT jumps.key, first.kind, first.queue, first.limits::text FROM jumps, LATERAL (
                 SELECT kind, queue, limits FROM {JOB} WHERE state = 'pending' AND held = jumps.key AND held <> ''
                 ORDER BY priority, run_at, id LIMIT 1
               ) AS first WHERE jumps.key <> 'fair' LIMIT %(limit)s""",
            {"after": after, "limit": limit},
        )
        return list(map(Waiting._make, cursor.fetchall()))


def let_go(connection: Connection, key: str, limit: int) -> int:
    """Let go the first of those that wait for this key, whether it is free or not; returns how many."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET held = '' WHERE id = ANY(ARRAY(
                 SELECT id FROM {JOB} WHERE state = 'pending' AND held = %s AND held <> ''
                 ORDER BY priority, run_at, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED)) AND state || '' = 'pending'""",
            (key, limit),
        )
        return int(cursor.rowcount)


def move_limits(connection: Connection, ids: Sequence[uuid.UUID], limits: str) -> None:
    """These jobs have moved to another queue: its limits (JSON) take the place of the old one's, which holds them no more. Jobs
    without limits get them when the dispatcher sees them; those whose limits cannot be read fail there."""
    with raw(connection) as cursor:
        cursor.execute(f"SELECT id, limits::text FROM {JOB} WHERE id = ANY(%s::uuid[]) AND limits IS NOT NULL", (plain(ids),))
        legible = plain([id for id, stored in cursor.fetchall() if is_legible(stored)])
        cursor.execute(
            f"""UPDATE {JOB} SET held = CASE WHEN held LIKE 'queue:%%' THEN '' ELSE held END, limits = %s::jsonb || (
                 SELECT coalesce(jsonb_agg(l), '[]') FROM jsonb_array_elements(limits) AS l WHERE l->>'key' NOT LIKE 'queue:%%')
               WHERE id = ANY(%s::uuid[]) AND limits IS NOT NULL""",
            (limits, legible),
        )
