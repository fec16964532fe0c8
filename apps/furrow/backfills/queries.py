"""A queryset as JSON: its model and its filters, without code. What such a text does not say is refused, by name.

What is kept is compared with what was given: made again of the JSON, the query must be the same SQL.
"""

import datetime as dt
import decimal
import uuid
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db import models
from django.db.models import Q, QuerySet
from django.db.models.expressions import Col
from django.db.models.lookups import Lookup, Transform
from django.db.models.sql.where import WhereNode

from furrow.errors import InputError

#: What to do instead.
_REMEDY = "declare the backfill with @backfill on a function that returns this queryset"
#: Values that are JSON as they are, and those that a field reads again from their text.
_PLAIN, _AS_TEXT = (bool, int, float, str, type(None)), (dt.date, dt.time, decimal.Decimal, uuid.UUID)
#: Sorts of keys that have an order and a JSON form.
_KEYS = (models.IntegerField, models.CharField, models.TextField, models.UUIDField)


def keep(rows: QuerySet[Any]) -> dict[str, Any]:
    """Of which model the rows are, and what filters them.

    Raises:
        InputError: the queryset is more than filters on the columns of its own model.
    """
    refuse(rows)
    found: dict[str, Any] = {"model": rows.model._meta.label, "where": _node(rows, rows.query.where)}
    if database := vars(rows)["_db"]:  # else the routers' choice, each time
        found["database"] = database
    if _sql(rows) != _sql(made_again(found)):
        raise InputError({"queryset": f"it cannot be made again of its filters: {_REMEDY}"})
    return found


def made_again(kept: dict[str, Any]) -> QuerySet[Any]:
    """The queryset.

    Raises:
        InputError: there is no such model, or no such column, any more.
    """
    try:
        rows: QuerySet[Any] = apps.get_model(kept["model"])._base_manager.using(kept.get("database"))
        return rows.filter(_condition(kept["where"]))
    except Exception as error:  # of a model that has changed since
        raise InputError({"queryset": f"{kept.get('model')} cannot be filtered as it was: {error}"}) from error


def refuse(rows: Any) -> None:
    """Look whether rows can be gone through by their keys.

    Raises:
        InputError: says why not.
    """
    if not isinstance(rows, QuerySet):
        raise InputError({"queryset": f"{str(rows)[:80]!r} is no queryset"})
    query = rows.query
    if query.is_sliced or query.combinator:
        what = "is sliced" if query.is_sliced else f"is a {query.combinator}"
        raise InputError({"queryset": f"it {what}, and is read in the order of its keys, bit by bit: use filters alone"})
    field = key_field(rows.model)
    if not isinstance(field, _KEYS):
        named = f"the key of {rows.model._meta.label} is a {type(field).__name__}"
        raise InputError({"queryset": f"{named}: it must be a number, a text or a UUID"})


def key_field(model: type[models.Model]) -> Any:
    """The column of the key; of one that points to another row that row's."""
    field: Any = model._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    return field


def key_of(model: type[models.Model], value: Any) -> Any:
    """A key as the model has it, from its JSON."""
    return key_field(model).to_python(value)


def as_json(key: Any) -> Any:
    """A key as JSON."""
    return key if isinstance(key, (int, str)) or key is None else str(key)


# --- Filters ------------------------------------------------------------------------------------------------------------------


def _node(rows: QuerySet[Any], node: Any) -> Any:
    """A part of a WHERE: ``["AND", negated, parts]``, or a filter's name with its value."""
    if isinstance(node, WhereNode):
        return [node.connector, node.negated, [_node(rows, child) for child in node.children]]
    if not isinstance(node, Lookup):
        raise _refused(type(node).__name__)
    return [f"{_path(rows, node.lhs)}__{node.lookup_name}", _value(node.rhs)]


def _path(rows: QuerySet[Any], side: Any) -> str:
    if isinstance(side, Transform) and side.lookup_name:
        return f"{_path(rows, side.lhs)}__{side.lookup_name}"
    if not isinstance(side, Col) or side.alias != rows.model._meta.db_table:
        raise _refused("another table" if isinstance(side, Col) else type(side).__name__)
    return str(side.target.name)


def _value(given: Any) -> Any:
    if isinstance(given, (list, tuple, set, frozenset)):
        return [_value(one) for one in given]
    if isinstance(given, _PLAIN):
        return given
    if isinstance(given, _AS_TEXT):
        return given.isoformat() if isinstance(given, (dt.date, dt.time)) else str(given)
    raise _refused(type(given).__name__)


def _refused(what: str) -> InputError:
    return InputError({"queryset": f"its filters have {what} in them, and none but columns and values can be kept: {_REMEDY}"})


def _condition(part: Any) -> Q:
    if len(part) == 2:
        return Q(**{part[0]: part[1]})
    connector, negated, parts = part
    found = Q(*map(_condition, parts), _connector=connector)
    return ~found if negated else found


def _sql(rows: QuerySet[Any]) -> tuple[str, list[str]]:
    try:
        sql, parameters = rows.order_by("pk").values_list("pk", flat=True).query.sql_with_params()
    except EmptyResultSet:
        raise InputError({"queryset": "no row can match its filters"}) from None
    return sql, sorted(map(repr, parameters))
