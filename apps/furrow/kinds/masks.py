"""Masks: what a handler returns, raises or logs is kept without the secret arguments that it was given."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from furrow.kinds.secret import KEY, MASK

#: Shorter secrets are not looked for: they would be found in every other word.
SHORTEST = 3
#: Secrets from this length on are also found inside a longer word; shorter ones only where no letter or digit adjoins.
DISTINCTIVE = 8


class Masks:
    """Dots in place of the secrets among a job's arguments: each as it was given, as ``repr`` and JSON escape it, and as a URL
    does. What a handler made of one (its hash, its Base64, a part of it) is not recognised."""

    def __init__(self, arguments: str) -> None:
        """``arguments``: the row's, a JSON text; perhaps with its metadata, in a list."""
        forms = {form for secret in set(_secrets(arguments)) for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(_sought, longest_first))) if forms else None

    def text(self, text: str) -> str:
        """The text without them."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def json(self, text: str | None) -> str | None:
        """A JSON text without them: whole texts and numbers, parts of texts, keys. It stays as it is when there is none."""
        if text is None or self._pattern is None or not self._pattern.search(text):
            return text
        try:
            return json.dumps(self._value(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):  # what cannot be read but holds a secret is not kept at all
            return json.dumps(MASK, ensure_ascii=False)

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(key): self._value(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._value(part) for part in value]
        if isinstance(value, str):
            return self.text(value)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return MASK if number and self.text(json.dumps(value)) == MASK else value


def _secrets(arguments: str) -> Iterator[str]:
    """The texts and numbers in all secret arguments, as text."""
    todo: list[tuple[Any, bool]] = [(json.loads(arguments), False)]
    while todo:
        value, secret = todo.pop()
        if isinstance(value, dict):
            todo += [(part, secret or key == KEY) for key, part in value.items()]
        elif isinstance(value, list):
            todo += [(part, secret) for part in value]
        elif secret and isinstance(value, (str, int, float)) and not isinstance(value, bool):
            yield value if isinstance(value, str) else json.dumps(value)


def _forms(secret: str) -> set[str]:
    """A secret as texts show it."""
    if len(secret) < SHORTEST:
        return set()
    escaped = {repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    lines = {line.strip() for line in secret.splitlines() if len(line.strip()) >= DISTINCTIVE}  # of a key file
    return {secret, quote(secret), quote(secret, safe=""), *escaped, *lines}


def _sought(form: str) -> str:
    if len(form) >= DISTINCTIVE and not form.isdigit():
        return re.escape(form)
    adjoins = "0-9" if form.isdigit() else "0-9A-Za-z"
    return f"(?<![{adjoins}]){re.escape(form)}(?![{adjoins}])"


NOTHING = Masks("{}")


def masks_of(arguments: str, meta: str | None = None) -> Masks:
    """For a job with these arguments and this metadata; most have no secrets."""
    if meta is not None and KEY in meta:
        return Masks(f"[{arguments}, {meta}]")
    return Masks(arguments) if KEY in arguments else NOTHING
