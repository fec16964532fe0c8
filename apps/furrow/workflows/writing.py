"""What a round of the engine found out about nodes and edges, written back with as little work as can be."""

from collections.abc import Iterable, Mapping
from typing import Any

from furrow.models import Edge, Node
from furrow.models.database import connection
from furrow.statements.postgresql.link import plain, raw, texts
from furrow.tables import EDGE, NODE

#: What a round may change of a node, with the types; timestamps and numbers need no quotes in an array's text.
_COLUMNS = {
    "state": "text",
    "unmet": "int",
    "open": "int",
    "failed": "int",
    "cancelled": "int",
    "reason": "text",
    "let_go_at": "timestamptz",
    "finished_at": "timestamptz",
}
_MANY = f"""UPDATE {NODE} SET {", ".join(f"{name} = v.{name}" for name in _COLUMNS)}
    FROM unnest(%s::uuid[], {", ".join(f"%s::{sort}[]" for sort in _COLUMNS.values())}) AS v(id, {", ".join(_COLUMNS)})
    WHERE {NODE}.id = v.id"""

_ONE = f"UPDATE {NODE} SET {', '.join(f'{name} = %s' for name in _COLUMNS)} WHERE id = %s"


def counts(node: Node) -> tuple[object, ...]:
    """What a round may change of it."""
    return tuple(getattr(node, name) for name in _COLUMNS)


def write_nodes(nodes: Iterable[Node]) -> None:
    """Write what a round may have changed of these."""
    if not (changed := list(nodes)):
        return
    columns = {name: _column(changed, name) for name in _COLUMNS}
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.executemany(_ONE, list(zip(*columns.values(), _column(changed, "id"), strict=True)))
        return
    given = [(texts if _COLUMNS[name] == "text" else plain)(column) for name, column in columns.items()]
    with raw(connection) as cursor:
        cursor.execute(_MANY, [plain(node.pk for node in changed), *given])


def _column(nodes: Iterable[Node], name: str) -> list[Any]:
    field: Any = Node._meta.get_field(name)
    return [field.get_db_prep_save(getattr(node, name), connection) for node in nodes]


def write_edges(edges: Iterable[Edge], fates: Mapping[int, bool]) -> None:
    """Write what came of these."""
    for fate in (True, False):
        ids = [edge.pk for edge in edges if fates[edge.pk] == fate]
        if ids and connection.vendor == "postgresql":
            with raw(connection) as cursor:
                cursor.execute(f"UPDATE {EDGE} SET met = %s WHERE id = ANY(%s::bigint[])", (fate, plain(ids)))
        elif ids:
            Edge.objects.filter(pk__in=ids).update(met=fate)
