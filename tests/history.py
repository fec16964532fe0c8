"""Judges of what handlers wrote down (``tests.kinds.note``): did a promise of a limit hold at every moment? Pure."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple


class Event(NamedTuple):
    """Something that a handler wrote before it went on."""

    at: int  #: nanoseconds on the machine's monotonic clock
    what: str
    key: str
    job: str
    attempt: int


class Broken(AssertionError):
    """A promise was broken; says where."""


def read(path: Path | str) -> list[Event]:
    """A history, in the order of its writing: a line is appended whole."""
    events = []
    for line in Path(path).read_text().splitlines():
        at, what, key, job, attempt = line.split()
        events.append(Event(int(at), what, key, job, int(attempt)))
    return events


def at_most(history: list[Event], prefix: str, died: frozenset[tuple[str, int]] = frozenset()) -> int:
    """The largest number of runs with the same key, of those keys that begin so, that were under way at one moment. Runs that
    were cut off (``died``: job, attempt) have no end and are left out."""
    running: dict[str, set[tuple[str, int]]] = defaultdict(set)
    most = 0
    for event in history:
        run = (event.job, event.attempt)
        if event.key.startswith(prefix) and run not in died:
            kind = event.what.split("-")[0]
            if kind == "begin":
                running[event.key].add(run)
            else:
                running[event.key].discard(run)
            most = max(most, len(running[event.key]))
    return most


def never_together(history: list[Event], prefix: str, died: frozenset[tuple[str, int]] = frozenset()) -> None:
    """Of runs with one key there was never more than one.

    Raises:
        Broken: there was.
    """
    if (most := at_most(history, prefix, died)) > 1:
        raise Broken(f"{most} runs of one key of {prefix}… at once")


def in_order(history: list[Event], prefix: str) -> None:
    """Runs with one key are one after the other: all of one number (``begin-7``, ``end-7``) before the next.

    Raises:
        Broken: one began before an earlier one was over, or after a later one.
    """
    never_together(history, prefix)
    last: Counter[str] = Counter()
    over: dict[str, int] = {}
    for event in history:
        if not event.key.startswith(prefix):
            continue
        what, number = event.what.split("-")
        if int(number) < last[event.key] or over.get(event.key) == int(number):
            raise Broken(f"{event} came after {last[event.key]}")
        if what == "begin" and int(number) > last[event.key] and event.key in over and over[event.key] != last[event.key]:
            raise Broken(f"{event} before {last[event.key]} was over")
        last[event.key] = int(number)
        if what == "end":
            over[event.key] = int(number)
