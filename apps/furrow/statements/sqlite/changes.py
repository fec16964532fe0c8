"""Limits of jobs that wait are changed, on SQLite: by a declaration, a setting, a move to another queue."""

import json
import uuid
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.limits.stored import is_legible
from furrow.statements import RuleColumns, Waiting
from furrow.tables import JOB


def set_rules(connection: Connection, rows: Sequence[RuleColumns]) -> None:
    """Write what the rules of pending jobs come to."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""UPDATE {JOB} SET limits = %s, order_key = %s, fair_key = %s, held = %s
               WHERE id = %s AND state = 'pending'""",
            [(*row[1:], row.id.hex) for row in rows],
        )


def waited_for(connection: Connection, after: str, limit: int) -> list[Waiting]:
    """The keys that jobs wait for, in their order, from behind one on; each with one of its jobs."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT held, kind, queue, limits FROM {JOB} WHERE state = 'pending' AND held > %s AND held <> 'fair'
               GROUP BY held ORDER BY held LIMIT %s""",
            (after, limit),
        )
        return list(map(Waiting._make, cursor.fetchall()))


def let_go(connection: Connection, key: str, limit: int) -> int:
    """Let go the first of those that wait for this key, whether it is free or not; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET held = '' WHERE id IN (
                 SELECT id FROM {JOB} WHERE state = 'pending' AND held = %s ORDER BY priority, run_at, id LIMIT %s)""",
            (key, limit),
        )
        return int(cursor.rowcount)


def move_limits(connection: Connection, ids: Sequence[uuid.UUID], limits: str) -> None:
    """These jobs have moved to another queue: its limits (JSON) take the place of the old one's, which holds them no more. Jobs
    without limits get them when the dispatcher sees them; those whose limits cannot be read fail there."""
    with connection.cursor() as cursor:
        for id in ids:
            cursor.execute(f"SELECT limits FROM {JOB} WHERE id = %s AND limits IS NOT NULL", (id.hex,))
            if (row := cursor.fetchone()) and is_legible(row[0]):
                kept = [entry for entry in json.loads(row[0]) if not entry["key"].startswith("queue:")]
                cursor.execute(
                    f"""UPDATE {JOB} SET held = CASE WHEN held LIKE 'queue:%%' THEN '' ELSE held END, limits = %s
                       WHERE id = %s""",
                    (json.dumps([*json.loads(limits), *kept], ensure_ascii=False), id.hex),
                )
