"""Workflows, on SQLite: what became of a node's jobs, from the statement that moves them to who counts it."""

import uuid
from collections import defaultdict
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Moved
from furrow.statements.sqlite.times import now as _now
from furrow.statements.words import FINAL
from furrow.tables import JOB, MOVE, NODE

_TRIGGERS = {
    "furrow_move_update": (
        "UPDATE OF state",
        "NEW",
        f"NEW.state <> OLD.state AND (NEW.state IN {FINAL} OR OLD.state IN {FINAL})",
        f"""(NEW.state NOT IN {FINAL}) - (OLD.state NOT IN {FINAL}), (NEW.state = 'failed') - (OLD.state = 'failed'),
           (NEW.state = 'cancelled') - (OLD.state = 'cancelled')""",
    ),
    "furrow_move_delete": ("DELETE", "OLD", f"OLD.state NOT IN {FINAL}", "-1, 0, 1"),
}


def follow_nodes(connection: Connection) -> None:
    """From now on each job of a node that ends, or is taken up again, leaves a move."""
    unfollow_nodes(connection)
    with connection.cursor() as cursor:
        for name, (event, row, condition, counts) in _TRIGGERS.items():
            cursor.execute(
                f"""CREATE TRIGGER {name} AFTER {event} ON {JOB} WHEN {row}.node IS NOT NULL AND {condition} BEGIN
                      INSERT INTO {MOVE} (node, open, failed, cancelled) VALUES ({row}.node, {counts}); END"""
            )


def unfollow_nodes(connection: Connection) -> None:
    """No more."""
    with connection.cursor() as cursor:
        for name in _TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def take_moves(connection: Connection, limit: int) -> list[Moved]:
    """Take so many moves out of the table, added up by node. The caller's transaction has the database to itself."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT m.id, m.node, m.open, m.failed, m.cancelled FROM {MOVE} m JOIN {NODE} n ON n.id = m.node "
            "ORDER BY m.id LIMIT %s",
            [limit],
        )
        taken = cursor.fetchall()
        for _, node, *counts in taken:
            sums[node] = [a + b for a, b in zip(sums[node], counts, strict=True)]
        asked = {node for _, node, *counts in taken if counts[0] > 0 or not any(counts)}
        cursor.executemany(f"DELETE FROM {MOVE} WHERE id = %s", [row[:1] for row in taken])
    return [Moved(uuid.UUID(node), left, failed, cancelled, node in asked) for node, (left, failed, cancelled) in sums.items()]


def moves_wait(connection: Connection) -> bool:
    """Whether there is any move."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {MOVE})")
        return bool(cursor.fetchone()[0])


def free_nodes(connection: Connection, nodes: Sequence[uuid.UUID], limit: int) -> int:
    """Make so many waiting jobs of these nodes pending; returns how many."""
    freed = 0
    with connection.cursor() as cursor:
        for node in nodes:
            cursor.execute(
                f"""UPDATE {JOB} SET state = 'pending', run_at = max(run_at, %s) WHERE id IN (
                     SELECT id FROM {JOB} WHERE node = %s AND state = 'waiting' ORDER BY id LIMIT %s)""",
                [_now(), node.hex, max(0, limit - freed)],
            )
            freed += int(cursor.rowcount)
    return freed
