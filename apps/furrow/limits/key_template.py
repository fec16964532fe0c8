"""The keys of limits: templates that the arguments of a job fill. Pure."""

import hashlib
import json
import string
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from furrow.errors import did_you_mean

#: Longest key, in characters; of a longer one the end is hashed.
LONGEST_KEY = 200


class LimitError(ValueError):
    """A rule that cannot work: ``option`` is its name."""

    def __init__(self, option: str, reason: str) -> None:
        self.option, self.reason = option, reason
        super().__init__(f"{option}: {reason}")


class Template:
    """Text with arguments' names in braces; ``{customer.id}`` looks into a dict.

    Raises:
        LimitError: not a text, braces that do not pair, a name that is no argument or a secret one, a conversion or a format.
    """

    def __init__(self, option: str, text: object, names: Iterable[str], secret: Collection[str] = ()) -> None:
        if not isinstance(text, str) or not text:
            raise LimitError(option, f"{text!r} must be a text, such as 'account:{{account_id}}'")
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise LimitError(
                option, f"{text!r} cannot be read ({error}): write {{name}}, and double a brace that is meant"
            ) from None
        self._parts: list[tuple[str, list[str] | None]] = []
        known = list(names)
        for literal, field, form, conversion in parts:
            if form or conversion or field == "":
                raise LimitError(option, f"{text!r} has a format or a conversion: write the argument's name alone, {{{field}}}")
            path = None if field is None else field.split(".")
            if path is not None and path[0] not in known:
                hint = did_you_mean(path[0], known) if known else "it has none"
                raise LimitError(option, f"{text!r} names {path[0]!r}, which is no argument of this kind; {hint}")
            if path is not None and path[0] in secret:
                raise LimitError(
                    option, f"{text!r} names {path[0]!r}, which is secret, but keys are shown: name another argument"
                )
            self._parts.append((literal, path))

    @property
    def constant(self) -> bool:
        """It names no argument."""
        return all(path is None for _, path in self._parts)

    def text(self, arguments: Mapping[str, Any]) -> str:
        """The text for these arguments, as in JSON: a text stands as it is, all else as JSON; what is not there is null."""
        return "".join(literal + ("" if path is None else _shown(arguments, path)) for literal, path in self._parts)

    def fill(self, prefix: str, arguments: Mapping[str, Any]) -> str:
        """The key for these arguments: the text after ``prefix``, the end of a long one hashed."""
        text = prefix + self.text(arguments)
        if len(text) <= LONGEST_KEY:
            return text
        return f"{text[: LONGEST_KEY - 33]}…{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _shown(arguments: Mapping[str, Any], path: list[str]) -> str:
    value: Any = arguments
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
