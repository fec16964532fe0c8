"""Read a row's limits, whatever is there: other programs write rows too."""

import json
from typing import Any

from furrow.limits.limit import CONFLICTS, LONGEST_PERIOD, MOST_SLOTS, Limit

#: Characters of the column ``furrow_hold.key``.
_LONGEST = 210


class UnreadableLimits(ValueError):
    """What stands in a row's column ``limits`` is no list of limits; the text says why."""


def read(text: str) -> list[Limit]:
    """The limits in this JSON text.

    Raises:
        UnreadableLimits: they are not what the engine writes.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableLimits("limits: it is no JSON that can be read") from None
    if not isinstance(entries, list):
        raise UnreadableLimits("limits: it is no array")
    return [_one(entry) for entry in entries]


def is_legible(text: str) -> bool:
    """They can be read."""
    try:
        read(text)
    except UnreadableLimits:
        return False
    return True


def legible(text: str | None) -> list[Limit]:
    """The same; none where they cannot be read."""
    return read(text) if text and is_legible(text) else []


def _one(entry: Any) -> Limit:
    try:
        limit, _ = Limit(**entry), entry["slots"]
    except (TypeError, KeyError):
        raise UnreadableLimits(
            "limits: an entry is no object with a key, slots, and perhaps period, conflict, ordered, declared"
        ) from None
    if not isinstance(limit.key, str) or not 0 < len(limit.key) <= _LONGEST:
        raise UnreadableLimits(f"limits: a key is no text of 1 to {_LONGEST} characters")
    if type(limit.slots) is not int or not 1 <= limit.slots <= MOST_SLOTS:
        raise UnreadableLimits(f"limits: slots is no whole number from 1 to {MOST_SLOTS:,}")
    if limit.period is not None and not (type(limit.period) in (int, float) and 0 < limit.period <= LONGEST_PERIOD):
        raise UnreadableLimits(f"limits: period is no number of seconds, of more than 0 and at most {LONGEST_PERIOD:,.0f}")
    if limit.conflict not in CONFLICTS or not (isinstance(limit.ordered, bool) and isinstance(limit.declared, bool)):
        raise UnreadableLimits(
            f"limits: conflict is none of {', '.join(CONFLICTS)}, or ordered or declared is not true or false"
        )
    return limit
