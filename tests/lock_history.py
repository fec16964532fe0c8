"""Histories of locks, and what must be true of each.

Clients (``tests/lock_client.py``) write down what they believe and do, each in a file of its own, line by line, so that a
killed one has said all that it did. Times are on the machine's monotonic clock, which all processes share. A client notes the
time, *then* asks whether it still holds the lock, *then* writes both down: so each note is true of its time, also if the
client was frozen anywhere in between.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]
#: A ticket is the epoch's number times this, plus a counter; a token likewise.
TICKETS, TOKENS = 10**9, 10**12


class Span(NamedTuple):
    """A time in which a client knew that it held a slot of a lock: from the first note that says so to the last."""

    name: str
    slot: int
    token: int
    ticket: int
    client: str
    first: float
    last: float


class Effect(NamedTuple):
    """A write that the database took, in the order in which it took them."""

    name: str
    token: int
    value: int


def read(folder: Path) -> list[Event]:
    """What all clients wrote; the last line of a killed one may be cut."""
    events = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            try:
                events.append({"client": file.stem, **json.loads(line)})
            except ValueError:
                continue
    return events


def spans(events: Iterable[Event]) -> list[Span]:
    """When who held what."""
    times: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for event in events:
        if event["what"] == "holds":
            times[event["name"], event["slot"], event["token"], event["ticket"], event["client"]].append(event["at"])
    return sorted((Span._make((*who, min(at), max(at))) for who, at in times.items()), key=lambda span: span.first)


# --- what must be true; each answers with the violations ---------------------------------------------------------------------


def overlaps(held: list[Span], limit: int = 1) -> list[str]:
    """Never more holders at a time than the limit, and one of a slot."""
    found, moments = [], []
    for span in held:
        moments += [(span.first, 1, span), (span.last, -1, span)]
    together: list[Span] = []
    for _, change, span in sorted(moments, key=lambda moment: (moment[0], -moment[1])):
        if change < 0:
            together.remove(span)
            continue
        together.append(span)
        if len(together) > limit or len({one.slot for one in together}) < len(together):
            found.append(f"held at once: {together}")
    return found


def tokens_that_went_back(held: list[Span]) -> list[str]:
    """Of each slot, who held it later has the greater token; no token is given twice."""
    found = [f"one token for two: {a} {b}" for a, b in pairwise(sorted(held, key=lambda s: s.token)) if a.token == b.token]
    for slot in {span.slot for span in held}:
        mine = [span for span in held if span.slot == slot]
        found += [f"the token went back: {a} then {b}" for a, b in pairwise(mine) if a.token >= b.token]
    return found


def jumped_the_line(held: list[Span], excused: Iterable[str] = ()) -> list[str]:
    """Who stood in line earlier was served earlier, while Redis kept its memory; clients that were frozen may lose a turn."""
    waited = [span for span in held if span.ticket and span.client not in excused]
    waited = [span for span in waited if span.ticket // TICKETS == span.token // TOKENS]
    waited.sort(key=lambda span: span.token)
    return [f"served out of turn: {a} then {b}" for a, b in pairwise(waited) if a.ticket > b.ticket]


def broken_effects(effects: list[Effect]) -> list[str]:
    """Of each row: no write under an older token than the one before, and each has seen the one before (it counts on)."""
    found = []
    for name in {effect.name for effect in effects}:
        mine = [effect for effect in effects if effect.name == name]
        for number, effect in enumerate(mine, 1):
            if effect.value != number:
                found.append(f"a write was lost: {effect} is number {number}")
                break
        found += [f"a late write: {a} then {b}" for a, b in pairwise(mine) if a.token > b.token]
    return found


def too_fast(times: list[float], interval: float, burst: int) -> list[str]:
    """No span of t seconds has more than burst + t / interval permissions."""
    times = sorted(times)
    found = []
    # The generic cell rate algorithm, played again: when would the bucket be full?
    full = 0.0
    for at in times:
        full = max(full, at) + interval
        if full - at > burst * interval + 1e-3:
            found.append(f"too many up to {at}")
    return found
