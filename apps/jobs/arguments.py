"""A handler's arguments: from its signature to a pydantic model, from a caller's values to JSON and back to values.

Values are checked twice: when a job is submitted (a bad one is refused, nothing is written) and when it runs (the JSON in
the row becomes ``date``, ``UUID``, ``Decimal``, … again, and a row written by another program is checked).
"""

import datetime as dt
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import pydantic
import pydantic_core

from apps.jobs.conf import conf
from apps.jobs.errors import ArgumentError, KindError

_REMEDIES = {
    "missing": "is missing: give it a value",
    "extra_forbidden": "is not an argument of this kind",
}


class Arguments:
    """The arguments of one kind.

    Raises:
        KindError: the signature cannot be made into a form: a parameter without a type hint, ``*args``, ``**kwargs``, or a
            type that has no JSON form.
    """

    def __init__(self, kind: str, handler: Callable[..., Any]) -> None:
        self.kind = kind
        self.signature = inspect.signature(handler)
        try:
            hints = get_type_hints(handler, include_extras=True)
        except NameError as error:
            raise KindError(f"{kind}: the type hint {error.name!r} cannot be resolved; import it at module level.") from error
        fields: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise KindError(f"{kind}: {parameter} cannot be validated; name each argument, with a type hint.")
            if name not in hints:
                raise KindError(f"{kind}: argument {name!r} has no type hint; write {name}: int (or str, date, …).")
            default = ... if parameter.default is parameter.empty else parameter.default
            # The alias lets an argument have any name, also one that pydantic keeps for itself (model_…, json, copy).
            fields[f"a_{name}"] = (hints[name], pydantic.Field(default, alias=name, validate_default=False))
        try:
            self.model = pydantic.create_model(
                "Arguments",
                __config__=pydantic.ConfigDict(
                    extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=False, protected_namespaces=()
                ),
                **fields,
            )
            self._serialize = pydantic.TypeAdapter(self.model).serializer
            self.schema = self.model.model_json_schema(mode="validation")
        except pydantic.errors.PydanticUserError as error:
            raise KindError(f"{kind}: a type hint has no JSON form: {error.message}") from error
        self.names = tuple(self.signature.parameters)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name, from a call's positional and named ones.

        Raises:
            ArgumentError: too many, or one given twice.
        """
        if len(args) > len(self.names):
            extra = {"arguments": f"{len(args)} given by position, but there are only {len(self.names)}: {self.names}"}
            raise ArgumentError(self.kind, extra)
        bound = dict(zip(self.names, args, strict=False))
        if twice := bound.keys() & kwargs.keys():
            raise ArgumentError(self.kind, dict.fromkeys(twice, "is given twice, by position and by name"))
        return {**bound, **kwargs}

    def to_json(self, values: Mapping[str, Any]) -> str:
        """Validated arguments as the JSON text of an object.

        Raises:
            ArgumentError: names each argument at fault, the reason and the remedy.
        """
        try:
            checked = self.model.model_validate(values)
        except pydantic.ValidationError as error:
            raise ArgumentError(self.kind, explain(error)) from None
        given: dict[str, Any] = {name: getattr(checked, f"a_{name}") for name in self.names}
        for name, value in given.items():
            if problem := unstorable(value):
                raise ArgumentError(self.kind, {name: problem})
        try:
            text = self._serialize.to_json(checked, by_alias=True).decode()
        except (pydantic_core.PydanticSerializationError, UnicodeDecodeError, ValueError) as error:
            raise ArgumentError(self.kind, {"arguments": f"cannot be written as JSON: {error}"}) from None
        if "\\u0000" in text or "\x00" in text:
            for name, value in given.items():
                if "\\u0000" in json.dumps(value, default=str):
                    raise ArgumentError(self.kind, {name: "contains the character U+0000, which cannot be stored: remove it"})
        size, limit = len(text.encode()), conf().max_argument_bytes
        if size > limit:
            largest = max(given, key=lambda name: len(json.dumps(given[name], default=str)))
            raise ArgumentError(
                self.kind,
                {
                    largest: f"the arguments take {size:,} bytes of JSON, the limit is {limit:,} "
                    "(FURROW_MAX_ARGUMENT_BYTES): keep large things in a file or a table and pass their name"
                },
            )
        return text

    def from_json(self, text: str) -> dict[str, Any]:
        """The handler's arguments from a row's JSON.

        Raises:
            ArgumentError: the row does not fit the signature (it was changed since, or written by another program).
        """
        try:
            checked = self.model.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise ArgumentError(self.kind, explain(error)) from None
        return {name: getattr(checked, f"a_{name}") for name in self.names}


def explain(error: pydantic.ValidationError) -> dict[str, str]:
    """Pydantic's errors by field: where, what is wrong, what was given."""
    fields: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"]] or ["arguments"]
        text = _REMEDIES.get(item["type"])
        if text is None:
            given = repr(item.get("input"))
            text = item["msg"][:1].lower() + item["msg"][1:] + f" (given: {given[:80]}{'…' if len(given) > 80 else ''})"
        inner = ".".join(path[1:])
        fields.setdefault(path[0], f"at {inner}: {text}" if inner else text)
    return fields


def unstorable(value: Any) -> str:
    """Why a valid value may not be stored (empty when it may): a time without its zone, NaN, a broken string."""
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return f"{value.isoformat()} has no time zone: pass an aware datetime (django.utils.timezone.now())"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a number that JSON knows"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "contains half of a surrogate pair, which is no text: decode it with errors='replace'"
        return ""
    if isinstance(value, Mapping):
        return next((p for pair in value.items() for part in pair if (p := unstorable(part))), "")
    if isinstance(value, (list, tuple, set, frozenset)):
        return next((p for item in value if (p := unstorable(item))), "")
    return ""
