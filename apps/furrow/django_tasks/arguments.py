"""A task's arguments: kept as they were given, since Django checks no type hints; the hints make the forms."""

import inspect
import json
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic

from furrow.errors import ArgumentError
from furrow.kinds.arguments import Arguments, refuse_text
from furrow.sanitize import keys_are_text, unstorable

_PLAIN = (str, int, float, bool, NoneType, Any)


class TaskArguments(Arguments):
    """The arguments of a task by name; ``*args`` is a list of that name, ``**kwargs`` an object."""

    def to_json(self, values: Mapping[str, Any]) -> str:
        """As :meth:`Arguments.to_json`, but nothing is converted, and no default is written.

        Raises:
            ArgumentError: names each argument at fault.
        """
        if not isinstance(values, Mapping):
            return super().to_json(values)  # which says what is wrong
        wrong = self._misfits(values)
        for name, value in values.items():
            if problem := unstorable(value):
                wrong.setdefault(name, problem)
            elif not keys_are_text(value):
                wrong.setdefault(name, "has keys that are not strings, which JSON lacks: use strings")
        if wrong:
            raise ArgumentError(self.kind, wrong)
        try:
            text = json.dumps(dict(values), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ArgumentError(self.kind, {"arguments": f"cannot be written as JSON ({error})"}) from None
        refuse_text(self.kind, text)
        return text

    def from_json(self, text: str) -> dict[str, Any]:
        """The arguments that a row has, as they are there.

        Raises:
            ArgumentError: the row does not fit the signature.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ArgumentError(self.kind, {"arguments": f"are no JSON ({error})"}, "cannot run") from None
        if not isinstance(given, dict):
            raise ArgumentError(self.kind, {"arguments": "are no JSON object"}, "cannot run")
        if wrong := self._misfits(given):
            raise ArgumentError(self.kind, wrong, "cannot run")
        return given

    def _misfits(self, given: Mapping[str, Any]) -> dict[str, str]:
        """What is missing, or no argument at all."""
        parameters = self.signature.parameters
        wrong = {str(name): "is not an argument of this task" for name in given if name not in self.names}
        for name in self.names:
            if name not in given and parameters[name].default is inspect.Parameter.empty:
                wrong[name] = "is missing: give it a value"
        return wrong


def signature_of(function: Callable[..., Any], *, leading: int) -> inspect.Signature:
    """The signature that makes the forms: all arguments by name, but for the ``leading`` ones."""
    hints = _hints(function)
    parameters: list[inspect.Parameter] = []
    for parameter in list(inspect.signature(function).parameters.values())[leading:]:
        hint, default = hints.get(parameter.name, Any), parameter.default
        if parameter.kind is parameter.VAR_POSITIONAL:
            hint, default = list[Any], []
        elif parameter.kind is parameter.VAR_KEYWORD:
            hint, default = dict[str, Any], {}
        elif not _is_plain(hint) or not _fits(default, hint):
            hint, default = Any, default if _fits(default, Any) else None
        parameters.append(inspect.Parameter(parameter.name, parameter.KEYWORD_ONLY, default=default, annotation=hint))
    return inspect.Signature(parameters)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # of whatever a hint names: Django never looks at it
        return {}


def _is_plain(hint: Any) -> bool:
    """A value that JSON has is of this type just as it is there."""
    if hint in _PLAIN or get_origin(hint) is Literal:
        return True
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_plain(parts[0])
    if origin in (list, dict, Union, UnionType):
        return all(_is_plain(part) for part in parts) and (origin is not dict or parts[0] is str)
    return hint in (list, dict)


def _fits(default: Any, hint: Any) -> bool:
    if default is inspect.Parameter.empty:
        return True
    try:
        pydantic.TypeAdapter(hint).validate_python(default, strict=True)
        return bool(json.loads(json.dumps(default, allow_nan=False)) == default)
    except (pydantic.ValidationError, pydantic.errors.PydanticUserError, TypeError, ValueError):
        return False
