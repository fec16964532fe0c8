"""Metadata: what a submit lets travel with its jobs besides their arguments, such as a tenant or a correlation id."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pydantic

from furrow.kinds.secret import KEY
from furrow.sanitize import has_long_integer, keys_are_text, unstorable

#: Bytes of JSON that a job's metadata may have.
MOST_BYTES = 16 * 1024


def meta_problem(meta: object) -> str:
    """What is wrong with this metadata, and the remedy; empty when nothing is."""
    if not isinstance(meta, Mapping) or not keys_are_text(meta):
        return f"{meta!r:.80} must be a dict with texts as keys, such as {{'tenant': 'acme'}}"
    for key, value in meta.items():
        if problem := unstorable(_stored(value)):
            return f"{key!r} {problem}"
        try:
            text = json.dumps(_stored(value), allow_nan=False)
        except (TypeError, ValueError):
            return f"{key!r} is a {type(value).__name__}, which JSON does not know: pass text, numbers, lists and dicts"
        if has_long_integer(text):
            return f"{key!r} has an integer of more than 4,300 digits: pass it as text"
    if problem := unstorable([*meta]):
        return f"a key {problem}"
    size = len(to_json(meta) or "")
    return f"has {size:,} bytes of JSON: at most {MOST_BYTES:,} may be; store more elsewhere" if size > MOST_BYTES else ""


def to_json(meta: Mapping[str, Any]) -> str | None:
    """The column's text; ``None``, which costs nothing, for none. A ``SecretStr`` stands there as secret arguments do."""
    return json.dumps({key: _stored(value) for key, value in meta.items()}) if meta else None


def from_json(text: str | None) -> dict[str, Any]:
    """The metadata that a column's text holds; of a text that another program wrote, and nobody can read, none."""
    if text is None:
        return {}
    with suppress(ValueError, RecursionError):
        return from_stored(json.loads(text))
    return {}


def from_stored(stored: object) -> dict[str, Any]:
    """The same of a column that was read."""
    return {key: _given(value) for key, value in stored.items()} if isinstance(stored, dict) else {}


def _stored(value: Any) -> Any:
    return {KEY: value.get_secret_value()} if isinstance(value, pydantic.SecretStr) else value


def _given(value: Any) -> Any:
    hidden = isinstance(value, dict) and value.keys() == {KEY} and isinstance(value[KEY], str)
    return pydantic.SecretStr(value[KEY]) if hidden else value
