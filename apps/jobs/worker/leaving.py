"""The end of a worker: Celery's loop has ended, and what still runs is listened to from here."""

import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.jobs.worker.crew import Crew

logger = logging.getLogger(__name__)

#: Seconds for which the hub sleeps at most while nothing happens: by itself up to ten, whatever the time that is left.
TICK = 0.25


def serve(crew: "Crew", worker: Any, seconds: float) -> None:
    """Drive the hub, for reports and for the pool's own results, until nothing runs or the time is over."""
    deadline = time.monotonic() + seconds
    loop, ticking = worker.hub.create_loop(), worker.hub.call_repeatedly(TICK, int)
    while (crew.running or crew.assigned.busy) and time.monotonic() < deadline:
        try:
            next(loop)
        except Exception as error:
            logger.debug("while stopping: %r", error)
            loop = worker.hub.create_loop()
            crew.read()
        _look_for_deaths(crew, worker.pool._pool)
    ticking.cancel()


def _look_for_deaths(crew: "Crew", pool: Any) -> None:
    """A closed pool tells nobody that a process ended."""
    exitcodes = {process.pid: process.exitcode for process in pool._pool}
    for pid in crew.assigned.draining | set(crew.running):
        if pid not in exitcodes or exitcodes[pid] is not None:
            crew.on_process_gone(pid, exitcodes.get(pid))
