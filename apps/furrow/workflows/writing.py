"""What a round of the engine found out about nodes and edges, written back with as little work as can be."""

from collections.abc import Iterable, Mapping
from typing import Any

from furrow.models import Edge, Node
from furrow.models.database import connection
from furrow.tables import EDGE, NODE

_COUNTS = ("state", "unmet", "open", "failed", "cancelled", "reason", "let_go_at", "finished_at")
_NODE = f"UPDATE {NODE} SET {', '.join(f'{name} = %s' for name in _COUNTS)} WHERE id = %s"


def counts(node: Node) -> tuple[object, ...]:
    """What a round may change of it."""
    return tuple(getattr(node, name) for name in _COUNTS)


def write_nodes(nodes: Iterable[Node]) -> None:
    """Write what a round may have changed of these."""
    fields: list[Any] = [Node._meta.get_field(name) for name in (*_COUNTS, "id")]
    _run(_NODE, [[field.get_db_prep_save(getattr(node, field.attname), connection) for field in fields] for node in nodes])


def write_edges(edges: Iterable[Edge], fates: Mapping[int, bool]) -> None:
    """Write what came of these."""
    _run(f"UPDATE {EDGE} SET met = %s WHERE id = %s", [(fates[edge.pk], edge.pk) for edge in edges])


def _run(statement: str, rows: list[Any]) -> None:
    """One row is written without the pipeline that many need."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, rows[0]) if len(rows) == 1 else cursor.executemany(statement, rows)
