"""States and outcomes in SQL: lists for ``IN``, from the tables of :mod:`furrow.states`."""

from collections.abc import Collection
from typing import LiteralString

from furrow import states
from furrow.states import State


def _listed(words: Collection[str]) -> LiteralString:
    return f"({', '.join(repr(str(word)) for word in sorted(words))})"


FINAL = _listed(states.FINAL)
UNFINISHED = _listed(set(State) - states.FINAL)
UNSTARTED = _listed(states.UNSTARTED)
EXCUSED = _listed(states.EXCUSED)
ENDS_CANCELLED = _listed(states.ENDS_CANCELLED)
KEEPS_SLOTS = _listed(states.KEEPS_SLOTS)
