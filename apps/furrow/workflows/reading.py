"""Rows by key, with as little work as can be: the dispatcher reads them between the end of a job and the begin of the next.

Building and compiling a query takes Django longer than PostgreSQL takes to answer it: here it is done once.
"""

import uuid
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any

from django.db.models import Model

from furrow.models import Edge, Node, Workflow
from furrow.models.database import alias, connection
from furrow.statements.postgresql.link import in_one_go, plain
from furrow.tables import EDGE, NODE, WORKFLOW

_WITH_WORKFLOW = f"{NODE} a JOIN {WORKFLOW} b ON b.id = a.workflow_id"
_FROM = "parent = ANY(%s::uuid[])"


def nodes(ids: Collection[uuid.UUID]) -> list[Node]:
    """These nodes, each with its workflow."""
    if connection.vendor != "postgresql":
        return list(Node.objects.filter(pk__in=ids).select_related("workflow").order_by())
    (rows,) = _ask(f"SELECT {_listed(Node, Workflow)} FROM {_WITH_WORKFLOW} WHERE a.id = ANY(%s::uuid[])", ids)
    return list(_nodes(rows))


def after(parents: Collection[uuid.UUID]) -> tuple[list[Edge], list[Node]]:
    """The edges from these nodes, in one order for all, and the nodes that they lead to."""
    if connection.vendor != "postgresql":
        found = list(Edge.objects.filter(parent__in=parents).order_by())
        children = nodes({edge.child for edge in found})
    else:
        of_edges = f"SELECT {_listed(Edge)} FROM {EDGE} a WHERE a.{_FROM}"
        of_nodes = (
            f"SELECT {_listed(Node, Workflow)} FROM {_WITH_WORKFLOW} WHERE a.id IN (SELECT child FROM {EDGE} WHERE {_FROM})"
        )
        rows, more = _ask(of_edges, parents, of_nodes)
        found = [edge for (edge,) in _made(rows, Edge)]
        children = list(_nodes(more))
    return sorted(found, key=lambda edge: (edge.child, edge.pk)), children


def _ask(statement: str, ids: Collection[uuid.UUID], *more: str) -> list[list[tuple[Any, ...]]]:
    """Of each statement the rows, in one round trip."""
    named = (plain(ids),)
    return [cursor.fetchall() for cursor in in_one_go(connection, [(one, named) for one in (statement, *more)])]


def _nodes(rows: Iterable[tuple[Any, ...]]) -> Iterator[Node]:
    for node, workflow in _made(rows, Node, Workflow):
        node.workflow = workflow
        yield node


def _made(rows: Iterable[tuple[Any, ...]], *of: type[Model]) -> Iterator[list[Any]]:
    _, columns = _columns(of)
    using = alias()
    for row in rows:
        values, made = iter(row), []
        for model, names, converters in columns:
            given = zip(converters, values, strict=False)  # takes as many as there are columns of this model
            read = [value if convert is None else convert(value, None, connection) for convert, value in given]
            made.append(model.from_db(using, names, read))
        yield made


def _listed(*of: type[Model]) -> str:
    return _columns(of)[0]


@lru_cache
def _columns(of: tuple[type[Model], ...]) -> tuple[str, list[tuple[type[Model], list[str], list[Any]]]]:
    """SQL of the columns; and of each model their names, and what reads a value where the driver does not."""
    listed, columns = [], []
    for letter, model in zip("ab", of, strict=False):
        fields = model._meta.concrete_fields
        listed += [f'{letter}."{field.column}"' for field in fields]
        converters = [getattr(field, "from_db_value", None) for field in fields]
        columns.append((model, [field.attname for field in fields], converters))
    return ", ".join(listed), columns
