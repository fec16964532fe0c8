"""What a row may never have, whoever writes it: times, numbers and JSON that Python cannot read, JSON of the wrong shape.

The database refuses such a write with a message that names the column and the remedy: triggers, which cost the engine's own
statements next to nothing (a CHECK of JSON would run with every UPDATE of a row). They look at what is written, not at what
stands already.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, DateTimeField, FloatField, IntegerField, JSONField, Model

from furrow import statements

#: The most digits that Python reads of an integer, and the deepest nesting of JSON that may be written.
MOST_DIGITS, DEEPEST = 4_300, 256

_OBJECT, _NAMES = 'write a JSON object, as {"name": "value"}', 'write a JSON array of texts, as ["name"]'
#: What the JSON of a column must be, by model and column: a shape that the statements know, and the remedy.
SHAPES: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        ("job", "arguments"): ("object", _OBJECT),
        ("job", "tags"): ("texts", _NAMES),
        ("job", "meta"): ("object", _OBJECT),
        ("job", "limits"): ("limits", "leave it out: only Furrow writes it"),
        ("auditentry", "selection"): ("object", _OBJECT),
        ("approval", "schema"): ("object", _OBJECT),
    }
)
_TIME = "is outside of the years 1 to 9999: give a time from 0001-01-02 to 9999-12-30 (UTC), or leave the column out"
_READABLE = f"write integers of at most {MOST_DIGITS:,} digits (longer ones as text), nested at most {DEEPEST} levels deep"


class Guarded(NamedTuple):
    """A table, and what its columns must be."""

    table: str
    times: Mapping[str, str]  #: the message, by column
    json: Mapping[str, tuple[str, str]]  #: shape and message, by column
    numbers: Mapping[str, tuple[bool, str]]  #: whether whole, and the message, by column; of use where a type is a hint


def guarded(models: Iterable[type[Model]]) -> list[Guarded]:
    """Of these models (of a migration's state, perhaps) the engine's tables."""
    return [_guarded(model) for model in models if model._meta.app_label == "furrow" and model._meta.managed]


def _guarded(model: type[Model]) -> Guarded:
    times: dict[str, str] = {}
    json: dict[str, tuple[str, str]] = {}
    numbers: dict[str, tuple[bool, str]] = {}
    for field in model._meta.local_concrete_fields:
        where = f"{model._meta.db_table}.{field.attname}"
        if isinstance(field, DateTimeField):
            times[field.attname] = f"{where} {_TIME}"
        elif isinstance(field, JSONField):
            shape, remedy = SHAPES.get((model._meta.model_name or "", field.name), ("json", ""))
            json[field.attname] = shape, f"{where} cannot be read: {'; '.join(filter(None, [remedy, _READABLE]))}"
        elif isinstance(field, (IntegerField, BooleanField, FloatField)):
            whole = not isinstance(field, FloatField)
            numbers[field.attname] = (
                whole,
                f"{where} is no {'whole ' if whole else ''}number: write one, or leave the column out",
            )
    return Guarded(model._meta.db_table, times, json, numbers)


def install(connection: BaseDatabaseWrapper, models: Iterable[type[Model]]) -> None:
    """Guard the tables of these models; those that are guarded stay so."""
    for table in guarded(models):
        statements.on(connection).guard(connection, table)


def remove(connection: BaseDatabaseWrapper, models: Iterable[type[Model]]) -> None:
    """Guard them no more."""
    for table in guarded(models):
        statements.on(connection).unguard(connection, table)
