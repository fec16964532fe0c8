"""Sanitize values for a row: some values are fine in Python and have no faithful JSON form, or none that every database
accepts."""

import dataclasses
import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

#: Lists within lists: what is read back stops at 200 levels (pydantic), and a value that contains itself has no end.
MAX_DEPTH = 100
#: Python reads no number with more than 4,300 digits.
MAX_BITS = 14_000
_SCALARS = frozenset({str, int, float, bool, type(None)})
_LONG_RUN = re.compile(r"\d{4301}")
_TEXT_OR_LONG_RUN = re.compile(r'"(?:[^"\\]|\\.)*"|(\d{4301})')
#: The escape of U+0000 in JSON text; after an odd number of backslashes it is the escape of a backslash and plain text.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def clean(text: str) -> str:
    """Text that every database can store: no U+0000, no halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, the middle left out with a mark that says how much."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters cut …]\n{text[-half:]}"


def has_nul(text: str) -> bool:
    """This JSON text contains the character U+0000, which PostgreSQL cannot store."""
    return "\\u0000" in text and _NUL.search(text) is not None


def has_long_integer(text: str) -> bool:
    """This JSON text has an integer of more than 4,300 digits, which Python does not read."""
    if len(text) <= 4_300 or not _LONG_RUN.search(text):
        return False
    return any(match[1] for match in _TEXT_OR_LONG_RUN.finditer(text))


def unstorable(value: Any, depth: int = 0) -> str:
    """Why a valid value may not be stored (empty when it may): a time without its zone, NaN, a broken string, no end."""
    if value is None or value is True or value is False:
        return ""
    if isinstance(value, str):
        return _broken_text(value)
    if isinstance(value, dt.datetime) and value.utcoffset() is None:
        return f"{value.isoformat()} has no time zone: pass an aware one (django.utils.timezone.make_aware)"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a number that JSON knows: pass None or a text instead"
    if isinstance(value, int):
        return "has more than 4,000 digits, which cannot be read back: pass it as text" if value.bit_length() > MAX_BITS else ""
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels, or contains itself: flatten it"
    return next((problem for part in _parts(value) if (problem := unstorable(part, depth + 1))), "")


def keys_are_text(value: Any) -> bool:
    """Every mapping in it has keys that are text, as JSON wants."""
    if type(value) in _SCALARS:
        return True
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        return False
    return all(map(keys_are_text, _parts(value)))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, pydantic.BaseModel):
        return [part for _, part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return ()


def _broken_text(value: str) -> str:
    if value.isascii() and "\x00" not in value:
        return ""
    if "\x00" in value:
        return "contains the character U+0000, which cannot be stored: remove it"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair, which is no text: decode it with errors='replace'"
    return ""
