"""Workflows: what became of a node's jobs, from the statement that moves them to who counts it."""

import uuid
from collections import Counter
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Moved
from furrow.statements.words import FINAL
from furrow.states import State
from furrow.tables import JOB, MOVE, NODE, WORKFLOW

#: What one move can say of a node's jobs: the column is a small integer.
MOST = 30_000
#: By the trigger's name: when it is asked, for which rows, and what it counts.
_UPDATE = f"""(NEW.state NOT IN {FINAL})::int - (OLD.state NOT IN {FINAL})::int,
    (NEW.state = 'failed')::int - (OLD.state = 'failed')::int,
    (NEW.state = 'cancelled')::int - (OLD.state = 'cancelled')::int"""
_TRIGGERS = {
    "furrow_move_update": (
        "UPDATE OF state",
        "NEW",
        f"IF NEW.state <> OLD.state AND (NEW.state IN {FINAL} OR OLD.state IN {FINAL}) THEN",
        _UPDATE,
    ),
    # Whoever deletes a job that has not ended: its node does not wait for it for ever.
    "furrow_move_delete": ("DELETE", "OLD", f"IF OLD.state NOT IN {FINAL} THEN", "-1, 0, 1"),
}


def follow_nodes(connection: Connection) -> None:
    """From now on each job of a node that ends, or is taken up again, leaves a move.

    PostgreSQL plans a trigger's condition anew with each statement: so it is short, and the function asks the rest."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT quote_ident(nspname) FROM pg_namespace
               WHERE oid = (SELECT relnamespace FROM pg_class WHERE oid = %s::regclass)""",
            [JOB],
        )
        (schema,) = cursor.fetchone()
        for name, (event, row, condition, counts) in _TRIGGERS.items():
            cursor.execute(
                f"""CREATE OR REPLACE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  {condition}
    INSERT INTO {schema}.{MOVE} (node, open, failed, cancelled) VALUES ({row}.node, {counts});
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS {name} ON {schema}.{JOB};
CREATE TRIGGER {name} AFTER {event} ON {schema}.{JOB}
  FOR EACH ROW WHEN ({row}.node IS NOT NULL) EXECUTE FUNCTION {schema}.{name}()"""
            )


def unfollow_nodes(connection: Connection) -> None:
    """No more."""
    with connection.cursor() as cursor:
        for name in _TRIGGERS:
            cursor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")


def take_moves(connection: Connection, limit: int) -> list[Moved]:
    """Take so many moves out of the table, added up by node, and lock the workflows that they are of until the caller's
    transaction ends. Those of workflows that another has locked stay, and hold up nobody."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH ripe AS MATERIALIZED (
                 SELECT m.id FROM {MOVE} m JOIN {NODE} n ON n.id = m.node JOIN {WORKFLOW} w ON w.id = n.workflow_id
                 ORDER BY m.id LIMIT %s FOR UPDATE OF w SKIP LOCKED
               ), taken AS (
                 DELETE FROM {MOVE} WHERE id = ANY(ARRAY(SELECT id FROM ripe)) RETURNING node, open, failed, cancelled
               ) SELECT node, sum(open)::int, sum(failed)::int, sum(cancelled)::int,
                   bool_or(open > 0 OR (open = 0 AND failed = 0 AND cancelled = 0)) FROM taken GROUP BY node""",
            [limit],
        )
        return list(map(Moved._make, cursor.fetchall()))


def drop_lost_moves(connection: Connection, limit: int) -> int:
    """Delete so many moves of nodes, or of workflows, that are gone: nobody counts them. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM {MOVE} lost WHERE id = ANY(ARRAY(
                 SELECT m.id FROM {MOVE} m WHERE NOT EXISTS (
                   SELECT FROM {NODE} n JOIN {WORKFLOW} w ON w.id = n.workflow_id WHERE n.id = m.node) LIMIT %s))""",
            [limit],
        )
        return int(cursor.rowcount)


def count_lost_jobs(connection: Connection, limit: int) -> int:
    """Nodes that count on jobs of which no row is left (somebody deleted them past the trigger, as TRUNCATE does): a move for
    each, which counts these jobs as cancelled. Looks at so many nodes that have not ended, at most; returns how many moves.

    One statement sees one state of the database: there the jobs of a node that have not ended, and the moves that tell of
    others, add up to what the node counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {MOVE} (node, open, failed, cancelled)
               SELECT n.id, -least(n.open, {MOST}), 0, least(n.open, {MOST}) FROM {NODE} n
               WHERE n.state IN ('waiting', 'running') AND n.open > 0 AND n.sort IN ('job', 'map')
                 AND NOT EXISTS (SELECT FROM {JOB} j WHERE j.node = n.id AND j.node IS NOT NULL AND j.state NOT IN {FINAL})
                 AND NOT EXISTS (SELECT FROM {MOVE} m WHERE m.node = n.id)
               LIMIT %s""",
            [limit],
        )
        return int(cursor.rowcount)


def moves_wait(connection: Connection) -> bool:
    """Whether there is any move."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT FROM {MOVE})")
        return bool(cursor.fetchone()[0])


def fill_in(connection: Connection, node: uuid.UUID, arguments: str, state: State = State.WAITING) -> int:
    """Put these arguments (a JSON object's text) over those of the node's jobs in this state, but for jobs that another has
    locked; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET arguments = arguments || %s::jsonb WHERE id = ANY(ARRAY(
                 SELECT id FROM {JOB} WHERE node = %s AND node IS NOT NULL AND state = %s FOR UPDATE SKIP LOCKED))""",
            [arguments, node, state],
        )
        return int(cursor.rowcount)


def free_nodes(connection: Connection, nodes: Sequence[uuid.UUID], limit: int) -> dict[str, int]:
    """Make so many waiting jobs of these nodes pending, but for those that another has locked; returns how many by queue."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {JOB} SET state = 'pending', run_at = greatest(run_at, statement_timestamp())
               WHERE id = ANY(ARRAY(
                 SELECT id FROM {JOB} WHERE node = ANY(%s) AND node IS NOT NULL AND state = 'waiting' ORDER BY id LIMIT %s
                 FOR UPDATE SKIP LOCKED)) RETURNING queue""",
            [list(nodes), limit],
        )
        return Counter(queue for (queue,) in cursor)
