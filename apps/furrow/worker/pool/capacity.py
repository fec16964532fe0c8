"""What a worker has room for: how much it may claim, and whether its processes are all busy for long."""

import time
from collections.abc import Mapping
from typing import Any

from furrow.worker.pool.assignments import Assignments
from furrow.worker.pool.prefetch import Prefetch
from furrow.worker.pool.running import Running

#: All processes busy with long jobs for this long (seconds): what waits is given to other workers.
BLOCKED_AFTER = 0.5


class Capacity:
    """Reads what runs and what is assigned; used in the event loop's thread."""

    def __init__(self, worker: Any, running: Mapping[int, Running], assigned: Assignments) -> None:
        self._worker, self._running, self._assigned = worker, running, assigned
        self._blocked_since = 0.0
        self.prefetch = Prefetch()

    @property
    def processes(self) -> int:
        """Pool processes that there are."""
        pool = self._worker.pool
        return min(int(pool.num_processes), len(pool._pool._pool)) if pool._pool is not None else 0

    def messages(self) -> int:
        """How many to hold."""
        return self.prefetch.count(self.processes)

    def room(self) -> float:
        """Seconds of work that may be claimed now; see :mod:`furrow.worker.pool.prefetch`."""
        if self._assigned.closed:
            return 0.0
        now = time.monotonic()
        busy = [(running.job.kind, now - running.began) for running in self._running.values()]
        return self.prefetch.room(self.processes, busy, (job.kind for job in self._assigned.due()))

    @property
    def blocked(self) -> bool:
        """Every process runs something long, and has for a while: what waits here would wait behind it."""
        return bool(self._blocked_since) and time.monotonic() - self._blocked_since > BLOCKED_AFTER

    def look(self, now: float) -> None:
        """Once in a while: see whether that is so."""
        busy = [(running.job.kind, now - running.began) for running in self._running.values()]
        if self.prefetch.blocked(busy) < self.processes:
            self._blocked_since = 0.0
        else:
            self._blocked_since = self._blocked_since or now
