"""Tenants that share a queue take turns, on SQLite."""

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.sqlite.times import now
from furrow.tables import JOB


def tenants(connection: Connection, queue: str, after: str | None, limit: int) -> list[str]:
    """Tenants (fair keys) with due jobs that wait for their turn, in their order, from behind one on (``None``: from all)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT DISTINCT fair_key FROM {JOB} WHERE state = 'pending' AND held = 'fair' AND queue = %s
               AND fair_key {">=" if after is None else ">"} %s
               AND run_at <= %s ORDER BY fair_key LIMIT %s""",
            (queue, after or "", now(), limit),
        )
        return [row[0] for row in cursor.fetchall()]


def take_turns(connection: Connection, queue: str, shares: Mapping[str, int]) -> int:
    """Let go so many due jobs of each tenant, best priority first; returns how many."""
    released = 0
    with connection.cursor() as cursor:
        for key, share in shares.items():
            cursor.execute(
                f"""UPDATE {JOB} SET held = '' WHERE id IN (
                     SELECT id FROM {JOB} WHERE state = 'pending' AND held = 'fair' AND queue = %s AND fair_key = %s
                       AND run_at <= %s ORDER BY priority, run_at, id LIMIT %s)""",
                (queue, key, now(), share),
            )
            released += cursor.rowcount
    return released
