"""Workflows, on SQLite: what became of a node's jobs, from the statement that moves them to who counts it."""

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Moved
from furrow.statements.sqlite.times import now as _now
from furrow.statements.words import FINAL
from furrow.states import State
from furrow.tables import JOB, MOVE, NODE, WORKFLOW

#: What one move can say of a node's jobs: the column is a small integer.
MOST = 30_000

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


def drop_lost_moves(connection: Connection, limit: int) -> int:
    """Delete so many moves of nodes, or of workflows, that are gone: nobody counts them. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM {MOVE} WHERE id IN (
                 SELECT m.id FROM {MOVE} m WHERE NOT EXISTS (
                   SELECT 1 FROM {NODE} n JOIN {WORKFLOW} w ON w.id = n.workflow_id WHERE n.id = m.node) LIMIT %s)""",
            [limit],
        )
        return int(cursor.rowcount)


def count_lost_jobs(connection: Connection, limit: int) -> int:
    """Nodes that count on jobs of which no row is left (somebody deleted them past the trigger): a move for each, which counts
    these jobs as cancelled. Returns how many moves, at most so many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {MOVE} (node, open, failed, cancelled)
               SELECT n.id, -min(n.open, {MOST}), 0, min(n.open, {MOST}) FROM {NODE} n
               WHERE n.state IN ('waiting', 'running') AND n.open > 0 AND n.sort IN ('job', 'map')
                 AND NOT EXISTS (SELECT 1 FROM {JOB} j WHERE j.node = n.id AND j.state NOT IN {FINAL})
                 AND NOT EXISTS (SELECT 1 FROM {MOVE} m WHERE m.node = n.id)
               LIMIT %s""",
            [limit],
        )
        return int(cursor.rowcount)


def moves_wait(connection: Connection) -> bool:
    """Whether there is any move."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {MOVE})")
        return bool(cursor.fetchone()[0])


def fill_in(connection: Connection, node: uuid.UUID, arguments: str, state: State = State.WAITING) -> int:
    """Put these arguments (a JSON object's text) over those of the node's jobs in this state; returns how many. By
    ``json_set``, since ``json_patch`` would merge objects inside."""
    parts = json.loads(arguments)
    paths = "".join(", %s, json(%s)" for _ in parts)
    given = [one for name, value in parts.items() for one in (f'$."{name}"', json.dumps(value))]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {JOB} SET arguments = json_set(arguments{paths}) WHERE node = %s AND state = %s",
            [*given, node.hex, state],
        )
        return int(cursor.rowcount)


def free_nodes(connection: Connection, nodes: Sequence[uuid.UUID], limit: int) -> dict[str, int]:
    """Make so many waiting jobs of these nodes pending; returns how many by queue."""
    freed = Counter[str]()
    with connection.cursor() as cursor:
        for node in nodes:
            cursor.execute(
                f"""UPDATE {JOB} SET state = 'pending', run_at = max(run_at, %s) WHERE id IN (
                     SELECT id FROM {JOB} WHERE node = %s AND state = 'waiting' ORDER BY id LIMIT %s) RETURNING queue""",
                [_now(), node.hex, max(0, limit - freed.total())],
            )
            freed.update(queue for (queue,) in cursor.fetchall())
    return freed
