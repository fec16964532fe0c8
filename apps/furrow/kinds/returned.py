"""What a handler returned, as the JSON text of a result."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_type_hints

import pydantic
import pydantic_core

from furrow.conf import conf
from furrow.errors import ResultError
from furrow.kinds.kind import Kind
from furrow.sanitize import has_long_integer, has_nul


@dataclass(frozen=True)
class Encoded:
    """A result that is JSON text already."""

    text: str


def result_json(kind: Kind, value: Any) -> str | None:
    """A handler's return value as JSON text; ``None`` for ``None``.

    Raises:
        ResultError: it has no JSON form, or is larger than the limit.
    """
    return None if value is None else json_text(kind.name, value)


def json_text(name: str, value: Any) -> str:
    """What the kind, or the step, of this name returned, as JSON text.

    Raises:
        ResultError: it has no JSON form, or is larger than the limit.
    """
    try:
        encoded = isinstance(value, Encoded)
        text = value.text if encoded else pydantic_core.to_json(value, inf_nan_mode="constants").decode()
        if "NaN" in text or "Infinity" in text:  # perhaps only within a string
            json.loads(text, parse_constant=_no_constant)
    except (ValueError, pydantic_core.PydanticSerializationError) as error:
        raise ResultError(f"{name} returned a {type(value).__name__} that has no JSON form: {error}") from None
    if has_nul(text):
        raise ResultError(f"{name} returned text with the character U+0000, which cannot be stored.")
    if has_long_integer(text):
        raise ResultError(f"{name} returned an integer of more than 4,300 digits, which cannot be read: return it as text.")
    size, limit = len(text.encode()), conf().max_result_bytes
    if size > limit:
        raise ResultError(
            f"{name} returned {size:,} bytes of JSON, the limit is {limit:,} "
            "(FURROW['MAX_RESULT_BYTES']): store large results in a file or a table and return their name."
        )
    return text


@lru_cache(maxsize=1_024)
def json_type(kind: Kind) -> str:
    """The JSON type of what a kind returns, by its return hint; empty where that does not say enough."""
    try:
        if kind.result_schema is not None:
            return str(kind.result_schema.get("type", ""))
        hint = get_type_hints(kind.handler).get("return", Any)
        found = pydantic.TypeAdapter(hint).json_schema(mode="serialization").get("type", "")
        return found if isinstance(found, str) else ""
    except Exception:  # of whatever the hint is: nothing is known then
        return ""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
