"""What a worker cannot write because another transaction has the job's row locked: it waits, and all else is written."""

import time
from typing import Any

from furrow import statements
from furrow.worker.ledger.batch import Batch

#: Seconds between two looks at what is locked: at first, and at most.
FIRST, LAST = 0.05, 1.0


class PutOff:
    """Used by the ledger's thread. Of each job that was met locked it remembers that until the row is seen free, so that no
    second statement runs into it."""

    def __init__(self) -> None:
        self._batch = Batch()
        self._locked: set[str] = set()
        self._pause = FIRST
        self._look_at = 0.0

    def sort_out(self, connection: Any, batch: Batch, *, all: bool) -> None:
        """Take out of the batch what is locked. ``all``: look at all of its jobs, not only at those that were locked before."""
        suspects = batch.jobs if all else batch.jobs & self._locked if self._locked else set()
        if not suspects:
            return
        locked = statements.on(connection).locked(connection, suspects)
        if locked - self._locked:
            self._pause, self._look_at = FIRST, time.monotonic() + FIRST
        self._locked = (self._locked - suspects) | locked
        if locked:
            later = batch.put_off(locked)
            later.add(self._batch)
            self._batch = later

    def take(self) -> Batch:
        """What it is time to try again."""
        batch, self._batch = self._batch, Batch()
        self._pause = min(LAST, 2 * self._pause)
        self._look_at = time.monotonic() + self._pause
        # Nothing else remembers those whose messages went: a row that somebody deleted is never seen free.
        self._locked &= batch.jobs
        return batch

    @property
    def due(self) -> bool:
        """It is time to try again."""
        return bool(len(self._batch)) and time.monotonic() >= self._look_at

    @property
    def seconds_until_due(self) -> float:
        """Until then; long when nothing is put off."""
        return max(0.0, self._look_at - time.monotonic()) if len(self._batch) else 3600.0

    @property
    def weight(self) -> int:
        """As of a batch."""
        return self._batch.weight

    @property
    def ends(self) -> int:
        """Runs that have ended and cannot be settled."""
        return len(self._batch.settlements)

    def __len__(self) -> int:
        """Jobs that are locked."""
        return len(self._batch.jobs)
