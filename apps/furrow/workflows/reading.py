"""Rows by key, with as little work as can be: the dispatcher reads them between the end of a job and the begin of the next.

Building and compiling a query takes Django longer than PostgreSQL takes to answer it: here it is done once.
"""

import uuid
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

from django.db.models import Model

from furrow.models import Edge, Node, Workflow
from furrow.models.database import alias, connection


def nodes(ids: Collection[uuid.UUID]) -> list[Node]:
    """These nodes, each with its workflow."""
    if connection.vendor != "postgresql":
        return list(Node.objects.filter(pk__in=ids).select_related("workflow").order_by())
    table, joined = Node._meta.db_table, Workflow._meta.db_table
    found = []
    for node, workflow in _rows((Node, Workflow), f"{table} a JOIN {joined} b ON b.id = a.workflow_id WHERE a.id", ids):
        node.workflow = workflow
        found.append(node)
    return found


def edges(parents: Collection[uuid.UUID]) -> list[Edge]:
    """The edges from these nodes, in one order for all."""
    if connection.vendor != "postgresql":
        found = list(Edge.objects.filter(parent__in=parents).order_by())
    else:
        found = [edge for (edge,) in _rows((Edge,), f"{Edge._meta.db_table} a WHERE a.parent", parents)]
    return sorted(found, key=lambda edge: (edge.child, edge.pk))


def _rows(of: tuple[type[Model], ...], where: str, ids: Collection[uuid.UUID]) -> Iterator[list[Any]]:
    text, columns = _columns(of)
    using = alias()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {text} FROM {where} = ANY(%s)", [list(ids)])
        for row in cursor.fetchall():
            values, made = iter(row), []
            for model, names, converters in columns:
                given = zip(converters, values, strict=False)  # takes as many as there are columns of this model
                read = [value if convert is None else convert(value, None, connection) for convert, value in given]
                made.append(model.from_db(using, names, read))
            yield made


@lru_cache
def _columns(of: tuple[type[Model], ...]) -> tuple[str, list[tuple[type[Model], list[str], list[Any]]]]:
    """SQL of the columns; and of each model their names, and what makes values of those that are JSON."""
    listed, columns = [], []
    for letter, model in zip("ab", of, strict=False):
        fields = model._meta.concrete_fields
        listed += [f'{letter}."{field.column}"' for field in fields]
        converters = [getattr(field, "from_db_value", None) for field in fields]
        columns.append((model, [field.attname for field in fields], converters))
    return ", ".join(listed), columns
