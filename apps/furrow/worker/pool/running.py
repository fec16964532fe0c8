"""A job that a pool process runs, as the parent sees it: its timeout, its cancellation, and what Celery knows of it."""

import logging
import os
import signal
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

from celery.worker import state as celery_state

from furrow.statements import Claimed
from furrow.states import Outcome
from furrow.worker import channel, offspring
from furrow.worker.events import SHOWN
from furrow.worker.remote import cancel_from_celery

logger = logging.getLogger(__name__)

#: A cancelled job is asked to stop (its next progress, log or check call raises), interrupted this long (seconds) after that
#: (the same is raised wherever its Python code is), and killed with its process after as long again.
CANCEL_GRACE = 5.0


@dataclass(slots=True, eq=False, weakref_slot=True)
class Running:
    """Begun, and not ended. To Celery it is a request: ``inspect active`` lists it, the revoke command cancels it."""

    job: Claimed
    pid: int
    began: float  #: monotonic seconds
    deadline: float  #: monotonic seconds; infinity without a timeout
    hostname: str
    kill_reason: Outcome | None = None  #: why its process was killed by us
    cancelled: float = 0.0  #: monotonic seconds of when it was asked to stop; 0: it was not
    interrupted: bool = False
    eventer: Any = None  #: Celery sets it on every active request when the broker's connection is made anew

    #: What Celery asks of a request before it ends its process: this one it leaves to us.
    task: ClassVar[Any] = SimpleNamespace(acks_late=True)
    acknowledged: ClassVar[bool] = True

    def __post_init__(self) -> None:
        celery_state.requests[self.job.id] = self
        celery_state.active_requests.add(self)
        celery_state.total_count[self.job.kind] += 1

    def over(self) -> None:
        """It runs here no longer."""
        celery_state.requests.pop(self.job.id, None)

    @property
    def id(self) -> str:
        """The id, as Celery asks for it."""
        return self.job.id

    def info(self, safe: bool = False) -> dict[str, Any]:
        """As Celery's ``Request.info``."""
        return {
            "id": self.job.id,
            "name": self.job.kind,
            "args": [],
            "kwargs": self.job.arguments[:SHOWN],
            "type": self.job.kind,
            "hostname": self.hostname,
            "time_start": time.time() - (time.monotonic() - self.began),
            "acknowledged": True,
            "delivery_info": {},
            "worker_pid": self.pid,
        }

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Flower's Terminate: cancel the job."""
        cancel_from_celery(self.job.id)

    def ask_to_stop(self, process: int) -> None:
        """Somebody cancelled it: its next progress, log or check call raises. ``process`` is the index of its pool process."""
        if not self.cancelled:
            self.cancelled = time.monotonic()
            channel.stop_requests.ask(process, uuid.UUID(self.job.id), self.job.attempt)

    def enforce(self, now: float) -> None:
        """Kill it when its timeout is over; insist when it was asked to stop and goes on."""
        if self.kill_reason is not None:
            return
        if now >= self.deadline:
            self.kill(Outcome.TIMED_OUT)
        elif self.cancelled and now - self.cancelled > 2 * CANCEL_GRACE:
            self.kill(Outcome.CANCELLED)
        elif self.cancelled and now - self.cancelled > CANCEL_GRACE and not self.interrupted:
            self.interrupted = True
            self._signal(signal.SIGUSR2)

    def kill(self, why: Outcome) -> None:
        """SIGKILL its process and what that has started; what becomes of the job is settled when the process is gone."""
        self.kill_reason = why
        with suppress(ProcessLookupError):
            offspring.kill(self.pid)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            logger.debug("pool process %d was gone already", self.pid)
