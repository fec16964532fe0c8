"""JSON columns that can be read whatever they contain: other programs write rows too."""

import json
from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform

#: The only key of what is read in place of an object that cannot be read.
UNREADABLE = "(unreadable)"
#: The deepest nesting that is read: code that walks through a value calls itself for each level.
DEEPEST = 256


class Unreadable:
    """What is read in place of JSON that Python cannot hold, or that is not of its column's shape. It is never written back."""

    reason: str


class _Object(Unreadable, dict[str, Any]):
    def __init__(self, reason: str) -> None:
        super().__init__({UNREADABLE: reason})
        self.reason = reason


class _List(Unreadable, list[Any]):
    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class JSONField(models.JSONField):
    """Django's, which raises over integers of thousands of digits and over deep nesting, and asks for no shape."""

    def __init__(self, *args: Any, shape: type[dict[str, Any]] | type[list[Any]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shape = shape

    def deconstruct(self) -> Any:
        """As Django's: to the database it is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """The value, or an :class:`Unreadable`."""
        whole = not isinstance(expression, KeyTransform)
        if value is None or not (whole or isinstance(value, str)):
            return value
        try:
            found = json.loads(value, cls=self.decoder)
        except (ValueError, TypeError, RecursionError) as error:
            if not whole and isinstance(error, json.JSONDecodeError):
                return value  # a text, which SQLite gives without its quotes
            return self._unreadable(_reason(error))
        if whole and value.count("[") + value.count("{") > DEEPEST and _is_deeper(found, DEEPEST):
            return self._unreadable("it is nested too deep")
        if whole and self.shape and not isinstance(found, self.shape) and not (found is None and self.null):
            return self._unreadable(f"it is no JSON {'object' if self.shape is dict else 'array'}")
        return found

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """For the database.

        Raises:
            ValueError: it was never read.
        """
        if isinstance(value, Unreadable):
            raise ValueError(
                f"{self.name} could not be read ({value.reason}), and would be overwritten: save other fields only"
            )
        return super().get_db_prep_value(value, connection, prepared)

    def _unreadable(self, reason: str) -> Unreadable:
        return _List(reason) if self.shape is list else _Object(reason)


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            part for one in level if isinstance(one, (dict, list)) for part in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, (dict, list)) for one in level)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, (json.JSONDecodeError, TypeError)):
        return "it is no JSON"
    return "it has an integer of more than 4,300 digits"
