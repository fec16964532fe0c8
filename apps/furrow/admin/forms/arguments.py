"""A kind's arguments as form fields: input, initial value and help text."""

import datetime as dt
import decimal
import enum
import types
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NewType, Protocol, Union, get_args, get_origin

import pydantic_core
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from pydantic.fields import FieldInfo

from furrow.admin.forms.fields import (
    LONG,
    ArgumentField,
    ChoiceField,
    JsonField,
    NumberField,
    TextField,
    WordField,
    YesNoField,
    hide,
)
from furrow.admin.forms.file_field import FileField
from furrow.admin.forms.row_field import RowField
from furrow.admin.forms.time_fields import MomentField, SpanField, TimeField
from furrow.kinds import docstrings
from furrow.kinds.arguments import Arguments
from furrow.kinds.hints import File, ForeignKey, find_hint
from furrow.kinds.kind import Kind

#: Types that are written as a short text, and what makes the value of it.
WORDS: dict[type, tuple[type[ArgumentField], dict[str, Any]]] = {
    bool: (YesNoField, {}),
    int: (NumberField, {"convert": int}),
    float: (NumberField, {"convert": float}),
    decimal.Decimal: (NumberField, {"convert": decimal.Decimal}),
    dt.datetime: (MomentField, {}),
    dt.date: (TimeField, {"input_type": "date", "convert": dt.date.fromisoformat}),
    dt.time: (TimeField, {"input_type": "time", "convert": dt.time.fromisoformat}),
    dt.timedelta: (SpanField, {}),
    uuid.UUID: (WordField, {"convert": uuid.UUID}),
    str: (TextField, {}),
}
_BY_SCHEMA: dict[str, type[ArgumentField]] = {
    "string": WordField,
    "integer": NumberField,
    "number": NumberField,
    "boolean": YesNoField,
}
_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "matches {}"),
)
_ATTRIBUTES = {"minimum": "min", "maximum": "max", "minLength": "minlength", "maxLength": "maxlength"}


class Described(Protocol):
    """What has arguments: a kind, or the form of an approval."""

    name: str
    doc: str
    arguments: Arguments


def argument_fields(kind: Kind | Described) -> dict[str, ArgumentField]:
    """A field for each argument, in the handler's order."""
    _text, help_texts = docstrings.split(kind.doc)
    definitions = kind.arguments.schema.get("$defs", {})
    fields = {}
    for name in kind.arguments.names:
        info = kind.arguments.model.model_fields[f"a_{name}"]
        schema = _schema(kind.arguments.schema["properties"][name], definitions)
        field = fields[name] = _field(kind.name, name, info, schema, help_texts.get(name, ""))
        if name in kind.arguments.secret:
            hide(field)
            field.initial = None
    return fields


def _field(kind: str, name: str, info: FieldInfo, schema: Mapping[str, Any], doc: str) -> ArgumentField:
    bare, nullable = _unwrap(info.annotation)
    needed = info.is_required()
    make, options = _choose(bare, schema)
    if row := find_hint(info.annotation, info.metadata, ForeignKey):
        options = {"convert": options.get("convert", str), "kind": kind, "argument": name, "model": row.resolve()}
        make = RowField
    elif file := find_hint(info.annotation, info.metadata, File):
        make, options = FileField, {"hint": file}
    if "convert" not in options and issubclass(make, NumberField):
        options = {"convert": int if schema.get("type") == "integer" else float}
    field = make(nullable=nullable, needed=needed, label=name, **options)
    _limit(field, schema)
    if not needed:
        field.initial = _default(field, info)
    field.help_text = _help(field, info, schema, doc, needed)
    return field


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The type without ``Annotated``, ``NewType`` and ``| None``, and whether ``None`` was there."""
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
            rest = tuple(part for part in get_args(annotation) if part is not type(None))
            annotation, nullable = (rest[0] if len(rest) == 1 else Union[rest]), True  # noqa: UP007
        elif origin is Literal and None in get_args(annotation):
            annotation, nullable = Literal[tuple(v for v in get_args(annotation) if v is not None)], True
        else:
            return annotation, nullable


def _choose(bare: Any, schema: Mapping[str, Any]) -> tuple[type[ArgumentField], dict[str, Any]]:
    """By the type; for one that is not known here, by the shape of its JSON."""
    if get_origin(bare) is Literal:
        return ChoiceField, {"values": [(value, _text(value)) for value in get_args(bare)]}
    if isinstance(bare, type) and get_origin(bare) is None:
        if issubclass(bare, enum.Enum):
            return ChoiceField, {"values": [(member, _text(member)) for member in bare]}
        for known, (make, options) in WORDS.items():
            if issubclass(bare, known):
                return make, dict(options)
    return _BY_SCHEMA.get(str(schema.get("type")), JsonField), {}


def _text(value: Any) -> str:
    if not isinstance(value, enum.Enum):
        return str(value)
    words = value.name.lower().replace("_", " ")
    return words if words == str(value.value).lower() else f"{words} ({value.value})"


def _schema(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an argument without ``null`` and with its reference followed."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        schema = {**schema, **options[0]}
    if "$ref" in schema:
        schema = {**definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {}), **schema}
    return dict(schema)


def _limit(field: ArgumentField, schema: Mapping[str, Any]) -> None:
    """Tell the browser the limits; the kind's model enforces them."""
    for key, attribute in _ATTRIBUTES.items():
        if key in schema and isinstance(field, (TextField, NumberField)):
            field.widget.attrs[attribute] = schema[key]
    if isinstance(field, TextField) and schema.get("maxLength", 0) > LONG:
        field.shown("\n")
    if isinstance(field, JsonField):
        field.widget.attrs["placeholder"] = _example(schema)


def _limit_text(text: str, limit: Any) -> str:
    return text.format(f"{limit:,}" if isinstance(limit, int) else limit)


def _example(schema: Mapping[str, Any]) -> str:
    if names := list(schema.get("properties", {}))[:4]:
        return "{" + ", ".join(f'"{name}": …' for name in names) + "}"
    return {"array": "[…, …]", "object": '{"name": …}'.replace("name", "key")}.get(str(schema.get("type")), "JSON")


def _default(field: ArgumentField, info: FieldInfo) -> Any:
    try:
        value = pydantic_core.to_jsonable_python(info.get_default(call_default_factory=True, validated_data={}))
    except (ValueError, TypeError):
        return None
    return None if value is None and not isinstance(field, YesNoField) else field.shown(value)


def _help(field: ArgumentField, info: FieldInfo, schema: Mapping[str, Any], doc: str, needed: bool) -> str:
    """What the docstring or the annotation says, the limits, and what an empty input means. Plain text."""
    said = (info.description or doc).strip()
    sentences = [said[:1].upper() + said[1:].rstrip(".") + "." if said else ""]
    limits = [
        _limit_text(text, schema[key]) for key, text in _LIMITS if key in schema and (key, schema[key]) != ("minLength", 1)
    ]
    if limits:
        sentences.append((", ".join(limits))[:1].upper() + ", ".join(limits)[1:] + ".")
    if isinstance(field, MomentField):
        sentences.append(f"Time zone: {timezone.get_current_timezone_name()}.")
    if isinstance(field, SpanField):
        sentences.append("Seconds, H:MM:SS, or ISO 8601 (P1DT2H).")
    if isinstance(field, JsonField):
        sentences.append("JSON.")
    if isinstance(field, FileField):
        sentences.append(f"At most {filesizeformat(field.max_bytes)}.".replace("\xa0", " "))
    if field.nullable:
        sentences.append("Empty: None.")
    elif not needed and field.kind_of_input not in ("checkbox", "select") and not isinstance(field, TextField):
        sentences.append("Empty: the default.")
    return " ".join(part for part in sentences if part)
