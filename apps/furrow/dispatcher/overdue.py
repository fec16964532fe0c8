"""Overdue: end runs of external workers that go on beyond their kind's timeout, or long after they were cancelled."""

import logging
import time
import uuid
from collections.abc import Mapping

from furrow import signals, statements
from furrow.conf import conf
from furrow.errors import FurrowError
from furrow.fingerprint import fingerprint
from furrow.kinds.kind import Kind, all_kinds
from furrow.kinds.retry import next_delay
from furrow.models import Job
from furrow.models.database import connection
from furrow.plural import counted
from furrow.statements import Settlement
from furrow.states import Outcome, State

logger = logging.getLogger(__name__)


class ExternalTimeout(FurrowError):
    """The kind's timeout passed, and the external worker had not ended the run."""


class Overdue:
    """Nobody can kill a process of another program: its run is settled without it, and what it reports later is refused. A
    worker that is asked to stop has the length of a lease for it. Times are on this process's monotonic clock, from when it saw
    the run first: another leader begins anew."""

    interval = 1.0

    def __init__(self) -> None:
        self._kinds: Mapping[str, Kind] = {kind.name: kind for kind in all_kinds() if kind.external}
        #: Since when each run is known, and since when it is asked to stop.
        self._since: dict[tuple[uuid.UUID, int, bool], float] = {}

    def run_once(self) -> int:
        """Settle what is overdue; returns how many runs."""
        now, before = time.monotonic(), self._since
        self._since, ends = {}, []
        running = Job.objects.filter(state=State.RUNNING, kind__in=self._kinds, queue__in=conf().external_queues)
        for job in running.defer("arguments", "result"):
            asked = job.cancel_requested_at is not None
            for about_cancel in (False, True) if asked else (False,):
                key = job.pk, job.attempt, about_cancel
                self._since[key] = before.get(key, now)
            timeout = self._kinds[job.kind].timeout
            if asked and now - self._since[job.pk, job.attempt, True] >= conf().worker_lease:
                ends.append(_cancelled(job))
            elif timeout is not None and now - self._since[job.pk, job.attempt, False] >= timeout:
                ends.append(_timed_out(job, self._kinds[job.kind]))
        if not ends:
            return 0
        settled = statements.on(connection).settle(connection, ends)
        signals.runs_settled((end.id, end.attempt) for end in ends)
        logger.warning("Ended without their external workers: %s.", counted(len(settled), "run"))
        return len(settled)


def _cancelled(job: Job) -> Settlement:
    text = "cancelled: its external worker did not stop when asked"
    return Settlement(str(job.pk), job.attempt, State.CANCELLED, Outcome.CANCELLED, error=text)


def _timed_out(job: Job, kind: Kind) -> Settlement:
    error = ExternalTimeout(f"it ran longer than {kind.timeout or 0:g} s, and its external worker did not end it")
    delay = next_delay(kind.retry, job.counted_attempts, job.max_attempts, error)
    state, name = State.FAILED if delay is None else State.PENDING, type(error).__name__
    end = Settlement(str(job.pk), job.attempt, state, Outcome.TIMED_OUT, delay=delay, error=f"{name}: {error}", error_type=name)
    return end._replace(fingerprint=fingerprint(name, str(error)))
