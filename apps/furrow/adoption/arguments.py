"""A task's arguments: by the names of its parameters, and in the JSON that Celery sends (dates, UUIDs, decimals and bytes come
back as they were). Nothing is converted: type hints make the form, and the task gets what its caller gave.

What a signature has no name for is under ``*`` with the name of its ``*args`` behind; other named values stand beside the rest.
"""

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, get_type_hints

import pydantic
from kombu.exceptions import EncodeError
from kombu.utils import json as celerys

from furrow.errors import ArgumentError
from furrow.kinds.arguments import Arguments, refuse_text
from furrow.sanitize import unstorable


class Unwritable(ArgumentError, EncodeError):
    """An argument has no JSON form. Celery's ``EncodeError``, too."""


class Unchecked(dict[str, Any]):
    """Arguments of a message that is there already: where they do not fit, the task fails, as in Celery."""


class Bound(NamedTuple):
    """A call's arguments by name, and how many of them were given by position where that is not what the names say."""

    values: dict[str, Any]
    positional: int | None


class TaskArguments(Arguments):
    """The arguments of a task."""

    def __init__(self, kind: str, function: Callable[..., Any], *, checked: bool) -> None:
        """``checked``: a call with too few or unknown ones is refused (Celery's ``typing``)."""
        self._checked = checked
        #: Defaults that no form can show: left to the function.
        self._left_out: set[str] = set()
        self._surplus, self._open = "*", False
        super().__init__(kind, _stand_in(self, function))
        self.names = (*self.names, *self._more)

    def _fields(self, hints: dict[str, Any]) -> dict[str, Any]:
        found = {f"a_{name}": self._field(name, one) for name, one in self.signature.parameters.items()}
        self._more: list[str] = []
        if self._surplus != "*":
            found[f"a_{self._surplus}"] = (list[Any], pydantic.Field([], alias=self._surplus))
            self._more.append(self._surplus)
        if self._open:
            found["a_**"] = (dict[str, Any], pydantic.Field({}, alias="**"))
            self._more.append("**")
        return found

    def _field(self, name: str, parameter: inspect.Parameter) -> Any:
        hint = Any if parameter.annotation is parameter.empty else parameter.annotation
        if parameter.default is parameter.empty:
            return (hint, pydantic.Field(..., alias=name)) if _has_form(hint) else (Any, pydantic.Field(..., alias=name))
        for one in (hint, hint | None if isinstance(hint, type) else hint, Any):
            if _has_form(one, parameter.default):
                return (one, pydantic.Field(parameter.default, alias=name, validate_default=True))
        self._left_out.add(name)
        return (Any, pydantic.Field(None, alias=name))

    def _check_defaults(self) -> None:
        """They are the function's own."""

    def _secret(self) -> frozenset[str]:
        return frozenset()

    def without(self, names: Collection[str]) -> Arguments:
        """The same but for these arguments, which come later."""
        left = copy(self)
        left.names = tuple(name for name in self.names if name not in names)
        left.signature = self.signature.replace(
            parameters=[one for one in self.signature.parameters.values() if one.name not in names]
        )
        return left

    def takes(self, name: str) -> bool:
        """Whether a call can give an argument of this name."""
        return self._open or name == self._surplus or name in self.names

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """As :meth:`bound`, without the count."""
        return self.bound(args, kwargs).values

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """Arguments by name.

        Raises:
            TypeError: one is given twice.
        """
        names = self._by_position
        values = dict(zip(names, args, strict=False))
        if twice := values.keys() & kwargs.keys():
            raise TypeError(f"{self.kind} got multiple values for argument {min(twice)!r}")
        positional = len(values)
        if len(args) > len(names):
            values[self._surplus] = list(args[len(names) :])
        values |= kwargs
        return Bound(values, positional if positional != self._leading(values) else None)

    def _leading(self, values: Mapping[str, Any]) -> int:
        """How many are taken as given by position, where nothing else is said."""
        return next((number for number, name in enumerate(self._by_position) if name not in values), len(self._by_position))

    def split(self, values: Mapping[str, Any], positional: int | None) -> tuple[list[Any], dict[str, Any]]:
        """What the call gave by position, and by name."""
        left = dict(values)
        surplus = left.pop(self._surplus, [])
        count = self._leading(left) if positional is None or surplus else positional
        args = [left.pop(name) for name in self._by_position[:count] if name in left]
        return [*args, *surplus], left

    def to_json(self, values: Mapping[str, Any]) -> str:
        """As the row has them.

        Raises:
            ArgumentError: one is missing or unknown, or cannot be stored.
        """
        if not isinstance(values, Mapping):
            return super().to_json(values)  # which says what is wrong
        given = {name: value for name, value in values.items() if value is not None or name not in self._left_out}
        given |= given.pop("**", None) or {}
        if not given.get(self._surplus, True):
            del given[self._surplus]
        if self._checked and not isinstance(values, Unchecked) and (wrong := self._misfits(given)):
            raise ArgumentError(self.kind, wrong)
        if wrong := {name: problem for name, value in given.items() if (problem := unstorable(value))}:
            raise ArgumentError(self.kind, wrong)
        try:
            text = dumps(given)
        except (TypeError, ValueError, RecursionError) as error:
            raise Unwritable(self.kind, self._unwritten(given, error)) from error
        refuse_text(self.kind, text)
        return text

    def _misfits(self, given: Mapping[str, Any]) -> dict[str, str]:
        wrong = {
            name: "is missing: give it a value"
            for name, one in self.signature.parameters.items()
            if one.default is one.empty and name not in given
        }
        return wrong | {name: "is not an argument of this task" for name in given if not self.takes(name)}

    @staticmethod
    def _unwritten(given: Mapping[str, Any], error: Exception) -> dict[str, str]:
        wrong = {}
        for name, value in given.items():
            try:
                dumps(value)
            except (TypeError, ValueError, RecursionError) as its_error:
                wrong[name] = f"cannot be written as JSON ({its_error}): pass numbers, text, lists and dicts, or a row's key"
        return wrong or {"arguments": f"cannot be written as JSON ({error})"}

    def from_json(self, text: str) -> dict[str, Any]:
        """As the call gave them.

        Raises:
            ArgumentError: the row is no object, or has a value of a type that this process does not know.
        """
        try:
            values = loads(text)
        except (ValueError, RecursionError) as error:
            raise ArgumentError(self.kind, {"arguments": str(error)[:300]}, "cannot run") from None
        if not isinstance(values, dict):
            raise ArgumentError(self.kind, {"arguments": "are no object"}, "cannot run")
        return values


def dumps(value: Any) -> str:
    """As Celery's JSON.

    Raises:
        TypeError, ValueError, RecursionError: it has no such form.
    """
    text: str = celerys.dumps(value)
    if "NaN" in text or "Infinity" in text:  # perhaps only within a string
        json.loads(text, parse_constant=_no_constant)
    return text


def loads(text: str) -> Any:
    """From Celery's JSON."""
    return celerys.loads(text)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _stand_in(arguments: TaskArguments, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the parameters that have names."""
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError, ValueError):
        signature, hints = _signature(function), {}
    named = []
    for one in signature.parameters.values():
        if one.kind is one.VAR_POSITIONAL:
            arguments._surplus = f"*{one.name}"
        elif one.kind is one.VAR_KEYWORD:
            arguments._open = True
        else:
            kind = one.POSITIONAL_OR_KEYWORD if one.kind is one.POSITIONAL_ONLY else one.kind
            named.append(one.replace(kind=kind, annotation=hints.get(one.name, one.empty)))

    def stand_in() -> None: ...

    stand_in.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return stand_in


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        one = inspect.Parameter
        return inspect.Signature([one("args", one.VAR_POSITIONAL), one("kwargs", one.VAR_KEYWORD)])


def _has_form(hint: Any, default: Any = ...) -> bool:
    """A form can be made of it."""
    try:
        options: dict[str, Any] = {} if default is ... else {"validate_default": True}
        fields: dict[str, Any] = {"a_value": (hint, pydantic.Field(default, **options))}
        model: Any = pydantic.create_model("One", __config__=pydantic.ConfigDict(protected_namespaces=()), **fields)
        model.model_json_schema()
        if default is not ...:
            dumps(default)
            model().model_dump_json()
    except Exception:  # of whatever the hint is
        return False
    return True
