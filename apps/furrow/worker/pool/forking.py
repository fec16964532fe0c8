"""New pool processes: when the system refuses one, the worker goes on with those that it has, and tries again, later each time.

Celery takes the error of a fork for a lost broker, connects anew, and forks again.
"""

import logging
import os
import time
from contextlib import suppress
from typing import Any

from furrow.diagnosis import troubles
from furrow.worker import offspring

logger = logging.getLogger(__name__)

#: Seconds until the next try: the first time, and at most. Celery looks for missing processes every five seconds.
AGAIN, AGAIN_LATEST = 1.0, 60.0


class Forking:
    """Takes the place of a pool's own method. ``pool`` is Celery's ``AsynPool``."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._create = pool._create_worker_process
        self._wait, self._not_before = AGAIN, 0.0
        pool._create_worker_process = self.create

    def create(self, index: int) -> None:
        """Start the process with this index; or not, now."""
        if time.monotonic() < self._not_before:
            return
        try:
            self._create(index)
        except (OSError, MemoryError) as error:
            self._undo(index)
            _close_pipe(error)
            self._not_before = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, AGAIN_LATEST)
            logger.error(
                "The system refuses a new pool process (%s); the worker goes on with %d.", error, len(self._pool._pool)
            )
            text = f"The system refuses a worker new pool processes: {error}. It goes on with those that it has"
            troubles.note("start of a pool process", text, "Raise its limits of processes, memory or open files.")
        else:
            self._wait = AGAIN

    def _undo(self, index: int) -> None:
        for process in [process for process in self._pool._pool if process.index == index]:
            if process._popen is not None:  # it runs, and nobody would listen to it
                with suppress(ProcessLookupError):
                    offspring.kill(process.pid)
                continue
            self._pool._pool.remove(process)
            for queues, owner in self._pool._queues.items():
                if owner is process:
                    self._pool._queues[queues] = None


def _close_pipe(error: BaseException) -> None:
    """billiard makes a pipe, forks, and knows of the pipe nowhere else when the fork is refused."""
    trail = error.__traceback__
    while trail is not None:
        if trail.tb_frame.f_code.co_name == "_launch":
            for end in ("parent_r", "child_w"):
                if isinstance(descriptor := trail.tb_frame.f_locals.get(end), int):
                    os.close(descriptor)
        trail = trail.tb_next
