"""A job that a pool process runs, as the parent sees it: its timeout and its cancellation."""

import logging
import os
import signal
import time
import uuid
from dataclasses import dataclass
from typing import Any

from apps.jobs.statements import Claimed
from apps.jobs.states import Outcome
from apps.jobs.worker import channel

logger = logging.getLogger(__name__)

#: A cancelled job is asked to stop (its next progress, log or check call raises), interrupted this long (seconds) after that
#: (the same is raised wherever its Python code is), and killed with its process after as long again.
CANCEL_GRACE = 5.0


@dataclass(slots=True)
class Running:
    """Begun, and not ended."""

    job: Claimed
    pid: int
    began: float  #: monotonic seconds
    deadline: float  #: monotonic seconds; infinity without a timeout
    doom: Outcome | None = None  #: why its process was killed by us
    cancelled: float = 0.0  #: monotonic seconds of when it was asked to stop; 0: it was not
    interrupted: bool = False
    active: Any = None  #: what Celery's remote control is told of it, once it has run for a moment

    def ask_to_stop(self, process: int) -> None:
        """Somebody cancelled it: its next progress, log or check call raises. ``process`` is the index of its pool process."""
        if not self.cancelled:
            self.cancelled = time.monotonic()
            channel.stop_requests.ask(process, uuid.UUID(self.job.id))

    def enforce(self, now: float) -> None:
        """Kill it when its timeout is over; insist when it was asked to stop and goes on."""
        if self.doom is not None:
            return
        if now >= self.deadline:
            self.kill(Outcome.TIMED_OUT)
        elif self.cancelled and now - self.cancelled > 2 * CANCEL_GRACE:
            self.kill(Outcome.CANCELLED)
        elif self.cancelled and now - self.cancelled > CANCEL_GRACE and not self.interrupted:
            self.interrupted = True
            self._signal(signal.SIGUSR2)

    def kill(self, why: Outcome) -> None:
        """SIGKILL its process; what becomes of the job is settled when the process is gone."""
        self.doom = why
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            logger.debug("pool process %d was gone already", self.pid)
