"""A handler's arguments: from its signature to a pydantic model, from a caller's values to JSON and back to values.

Values are checked twice: when a job is submitted (a bad one is refused, nothing is written) and when it runs (the JSON in
the row becomes ``date``, ``UUID``, ``Decimal``, … again, and a row written by another program is checked).
"""

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pydantic
import pydantic_core

from furrow.conf import conf
from furrow.errors import ArgumentError, KindError
from furrow.kinds.hints import File, ForeignKey, has_inside
from furrow.kinds.secret import Secret
from furrow.sanitize import has_long_integer, has_nul, keys_are_text, unstorable

_REMEDIES = {
    "missing": "is missing: give it a value",
    "extra_forbidden": "is not an argument of this kind",
}
_NO_JSON = (pydantic.errors.PydanticUserError, pydantic_core.PydanticSerializationError, pydantic_core.SchemaError)
_NOT_WRITABLE = (pydantic_core.PydanticSerializationError, ValueError, RecursionError)


class Arguments:
    """The arguments of one kind.

    Raises:
        KindError: the signature cannot be made into a form: a parameter without a type hint, ``*args``, ``**kwargs``, one
            that is given by position only, a type that has no JSON form, or a default that is not of its type.
    """

    def __init__(self, kind: str, handler: Callable[..., Any]) -> None:
        self.kind = kind
        self.signature = inspect.signature(handler)
        self.names = tuple(self.signature.parameters)
        self._parts: dict[frozenset[str], Arguments] = {}
        parameters = self.signature.parameters.values()
        self._by_position = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        fields = self._fields(_hints(kind, handler))
        try:
            self.model = _model(fields)
            self._serialize = pydantic.TypeAdapter(self.model).serializer
            self._check_defaults()
            self.schema = self.model.model_json_schema(mode="validation")
            self.secret = self._secret()
        except _NO_JSON as error:
            self._blame_hint(fields, error)

    def _fields(self, hints: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise KindError(f"{self.kind}: {parameter} cannot be validated; name each argument, with a type hint.")
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise KindError(f"{self.kind}: argument {name!r} is positional-only, and arguments go by name; remove the '/'.")
            if name not in hints:
                raise KindError(f"{self.kind}: argument {name!r} has no type hint; write {name}: int (or str, date, …).")
            default = ... if parameter.default is parameter.empty else parameter.default
            if inside := next((hint.__name__ for hint in (File, ForeignKey) if has_inside(hints[name], hint)), ""):
                raise KindError(
                    f"{self.kind}: argument {name!r} has a {inside} inside, which forms cannot offer or check: make it an "
                    "argument of its own, or use the plain type."
                )
            hint = Annotated[hints[name], Secret] if _is_secret(hints[name]) else hints[name]
            # The alias lets an argument have any name, also one that pydantic keeps for itself (model_…, json, copy).
            fields[f"a_{name}"] = (hint, pydantic.Field(default, alias=name, validate_default=True))
        return fields

    def _secret(self) -> frozenset[str]:
        """The names of the arguments that are never shown."""
        parts = self.schema.get("properties", {})
        found = frozenset(name for name, part in parts.items() if part.get("writeOnly"))
        inner = {**{name: part for name, part in parts.items() if name not in found}, "": self.schema.get("$defs", {})}
        for name, part in inner.items():
            if '"writeOnly": true' in json.dumps(part):
                where = f"argument {name!r}" if name else "a model"
                raise KindError(
                    f"{self.kind}: {where} has a secret inside, which cannot be masked: mark the whole argument, "
                    "Annotated[…, Secret]."
                )
        return found

    def _check_defaults(self) -> None:
        for name, parameter in self.signature.parameters.items():
            if parameter.default is parameter.empty:
                continue
            values = self.model.model_construct()
            try:
                self.model.__pydantic_validator__.validate_assignment(values, f"a_{name}", parameter.default)
                problem = unstorable(parameter.default)
                self._serialize.to_json(values, include={f"a_{name}"})
            except pydantic.ValidationError as error:
                problem = "; ".join(explain(error).values())
            except _NOT_WRITABLE as error:
                problem = f"it cannot be written as JSON: {error}"
            if problem:
                raise KindError(f"{self.kind}: the default of argument {name!r} does not fit its type hint: {problem}.")

    def _blame_hint(self, fields: dict[str, Any], error: Exception) -> None:
        """Find the argument whose type hint has no JSON form."""
        for field, definition in fields.items():
            try:
                _model({field: definition}).model_json_schema(mode="validation")
            except _NO_JSON as its_error:
                reason = str(getattr(its_error, "message", its_error)).split("\n")[0].split(". Set ")[0]
                text = f"{self.kind}: the type hint of argument {field[2:]!r} has no JSON form: {reason}"
                raise KindError(f"{text}; use plain types, dataclasses or pydantic models.") from error
        raise KindError(f"{self.kind}: a type hint has no JSON form: {error}") from error

    def takes(self, name: str) -> bool:
        """Whether there is an argument of this name."""
        return name in self.names

    def without(self, names: Collection[str]) -> "Arguments":
        """The same but for these arguments, which come later."""
        key = frozenset(names)
        if key not in self._parts:
            self._parts[key] = self._but_for(key)
        return self._parts[key]

    def _but_for(self, names: Collection[str]) -> "Arguments":
        left = copy(self)
        left._parts = {}
        left.names = tuple(name for name in self.names if name not in names)
        left.model = _model({f"a_{name}": _field(self.model, f"a_{name}") for name in left.names})
        left._serialize = pydantic.TypeAdapter(left.model).serializer
        return left

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name, from a call's positional and named ones.

        Raises:
            ArgumentError: too many, or one given twice.
        """
        names = self._by_position
        if len(args) > len(names):
            text = f"{len(args)} given by position, but there are only {len(names)} ({', '.join(names) or 'none'})"
            named = ", ".join(name for name in self.names if name not in names)
            raise ArgumentError(self.kind, {"arguments": f"{text}: give {named} by name" if named else text})
        bound = dict(zip(names, args, strict=False))
        if twice := bound.keys() & kwargs.keys():
            raise ArgumentError(self.kind, dict.fromkeys(twice, "is given twice, by position and by name"))
        return {**bound, **kwargs}

    def to_json(self, values: Mapping[str, Any]) -> str:
        """Validated arguments as the JSON text of an object.

        Raises:
            ArgumentError: names each argument at fault, the reason and the remedy.
        """
        if not isinstance(values, Mapping):
            text = f"{_shown(values)} must be a mapping of names to values"
            raise ArgumentError(self.kind, {"arguments": f"{text}: pass {{'{next(iter(self.names), 'name')}': …}}"})
        try:
            checked = self.model.model_validate(values)
        except pydantic.ValidationError as error:
            raise ArgumentError(self.kind, explain(error, self.secret)) from None
        given = self._values(checked)
        if wrong := {name: problem for name, value in given.items() if (problem := unstorable(value))}:
            raise ArgumentError(self.kind, wrong)
        try:
            text = self._write(checked)
        except _NOT_WRITABLE:
            raise ArgumentError(self.kind, self._unwritable(checked)) from None
        if wrong := self._unfaithful(checked, given, text):
            raise ArgumentError(self.kind, wrong)
        return text

    def from_json(self, text: str) -> dict[str, Any]:
        """The handler's arguments from a row's JSON.

        Raises:
            ArgumentError: the row does not fit the signature (it was changed since, or written by another program).
        """
        try:
            checked = self.model.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise ArgumentError(self.kind, explain(error, self.secret), "cannot run") from None
        return self._values(checked)

    def _values(self, checked: pydantic.BaseModel) -> dict[str, Any]:
        fields = checked.__dict__
        return {name: fields[f"a_{name}"] for name in self.names}

    def _write(self, checked: pydantic.BaseModel, name: str = "") -> str:
        """As JSON: all arguments, or one of them."""
        if not name:
            return self._serialize.to_json(checked, by_alias=True).decode()
        return self._serialize.to_json(checked, by_alias=True, include={f"a_{name}"}).decode()

    def _unwritable(self, checked: pydantic.BaseModel) -> dict[str, str]:
        """The arguments that cannot be written as JSON."""
        wrong = {}
        for name in self.names:
            try:
                self._write(checked, name)
            except _NOT_WRITABLE as error:
                reason = str(error).removeprefix("Error serializing to JSON: ").splitlines()[0]
                wrong[name] = f"cannot be written as JSON ({reason}): pass numbers, strings, lists and dicts of them"
        return wrong

    def _unfaithful(self, checked: pydantic.BaseModel, given: dict[str, Any], text: str) -> dict[str, str]:
        """The arguments that would not come back as they were given, or take too much room."""
        if has_nul(text):
            problem = "contains the character U+0000, which cannot be stored: remove it"
            return {name: problem for name in self.names if has_nul(self._write(checked, name))}
        if not all(map(keys_are_text, given.values())):
            back = self.from_json(text)
            problem = "has keys that are not strings, which JSON lacks: use strings, or declare the type: dict[int, …]"
            if wrong := {name: problem for name in self.names if back[name] != given[name] and not keys_are_text(given[name])}:
                return wrong
        limit = conf().max_argument_bytes
        if len(text) * 4 <= limit or (size := len(text.encode())) <= limit:
            return {}
        largest = max(self.names, key=lambda name: len(self._write(checked, name)))
        problem = f"the arguments take {size:,} bytes of JSON, the limit is {limit:,} (FURROW_MAX_ARGUMENT_BYTES)"
        return {largest: f"{problem}: keep large things in a file or a table and pass their name"}


def refuse_text(kind: str, text: str) -> None:
    """Look whether a row can keep arguments that were written as they are, without a model.

    Raises:
        ArgumentError: of all of them together.
    """
    limit = conf().max_argument_bytes
    if has_nul(text):
        problem = "have the character U+0000, which cannot be stored: remove it"
    elif has_long_integer(text):
        problem = "have an integer of more than 4,300 digits: pass it as text"
    elif len(text) * 4 > limit and (size := len(text.encode())) > limit:
        said = f"take {size:,} bytes of JSON, the limit is {limit:,} (FURROW['MAX_ARGUMENT_BYTES'])"
        problem = f"{said}: keep large things in a file or a table and pass their name"
    else:
        return
    raise ArgumentError(kind, {"arguments": problem})


def _hints(kind: str, handler: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise KindError(f"{kind}: the type hint {error.name!r} cannot be resolved; import it at module level.") from error
    except (AttributeError, SyntaxError, TypeError) as error:
        raise KindError(f"{kind}: a type hint cannot be resolved ({error}); write a type that exists.") from error


def _field(model: type[pydantic.BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation, field


def _model(fields: dict[str, Any]) -> type[pydantic.BaseModel]:
    config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=False, protected_namespaces=())
    model: type[pydantic.BaseModel] = pydantic.create_model("Arguments", __config__=config, **fields)
    return model


def _is_secret(hint: Any) -> bool:
    """``SecretStr``, also an optional one."""
    is_union = get_origin(hint) in (Union, UnionType)
    return hint is pydantic.SecretStr or (is_union and pydantic.SecretStr in get_args(hint))


def explain(error: pydantic.ValidationError, secret: Collection[str] = ()) -> dict[str, str]:
    """Pydantic's errors by field: where, what is wrong, what was given (of secret fields: not even where)."""
    fields: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"]] or ["arguments"]
        text = _REMEDIES.get(item["type"])
        if text is None and path[0] in secret:
            text, path = "is not of its type (not shown: it is secret)", path[:1]
        if text is None and item["type"] == "json_invalid":  # what was given is the whole row, secrets and all
            text = item["msg"][:1].lower() + item["msg"][1:]
        if text is None:
            text = item["msg"][:1].lower() + item["msg"][1:] + f" (given: {_shown(item.get('input'))})"
        inner = ".".join(path[1:])
        fields.setdefault(path[0], f"at {inner}: {text}" if inner else text)
    return fields


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a __repr__ of the caller's own, or a number with thousands of digits
        return f"a {type(value).__name__}"
    return f"{text[:80]}…" if len(text) > 80 else text
