"""Cursors: where the next scan of the table begins.

While some transaction holds an old snapshot (a backup, a forgotten psql), PostgreSQL can remove nothing that died since, and a
look from the beginning walks over every job that went through in that time: a fraction of a millisecond becomes half a second
after a million of them (docs/queue_table.md). So a look begins where an earlier one came to.

That is a hint, never the truth. Rows appear behind a cursor: of transactions that lasted, of jobs that were put back. So it
lags by ``LAG``, and every ``FULL`` seconds a look begins at the beginning; less often when that takes long, so that it has at
most one part in ``SHARE`` of the time. Whoever leads next begins with nothing.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

#: Seconds.
LAG, FULL = 1.0, 1.0
SHARE = 20

P = TypeVar("P")
Seen = TypeVar("Seen")


class Cursor(Generic[P]):
    """``P`` is a position in the table; ``since`` is where looks begin at present."""

    def __init__(self, beginning: P) -> None:
        self.since = self._newer = self._reached = self._beginning = beginning
        self._moved_at = self._full_at = 0.0

    def look(self, at: Callable[[P], tuple[Seen, P]]) -> Seen:
        """Call ``at(where to begin)``, which returns what it saw and the position that it reached."""
        now = time.monotonic()
        if now >= self._moved_at + LAG:
            self.since, self._newer, self._moved_at = self._newer, self._reached, now
        full = now >= self._full_at
        seen, self._reached = at(self._beginning if full else self.since)
        if full:
            self._full_at = now + max(FULL, SHARE * (time.monotonic() - now))
        return seen
