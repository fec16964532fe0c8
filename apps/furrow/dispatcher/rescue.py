"""Rescue: return jobs of workers whose lease has ended to pending, or fail them when no attempt is left."""

import datetime as dt
import logging
import time
import uuid
from collections.abc import Iterable

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from furrow import signals, statements
from furrow.actions import locks
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.diagnosis.drift import note
from furrow.errors import CutOff, UnknownKind
from furrow.fingerprint import fingerprint
from furrow.kinds.kind import get_kind
from furrow.kinds.retry import RetryPolicy, next_delay
from furrow.models import Job, Worker
from furrow.models.database import atomic, connection
from furrow.plural import counted
from furrow.statements import Settlement, sessions
from furrow.statements.refused import ANY, refuses_value
from furrow.states import Outcome, State

logger = logging.getLogger(__name__)

BATCH = 500


class WorkerLost(CutOff):
    """The worker's lease ended without news of the job."""


class Rescue:
    """A lease is over when the worker's row has stood unchanged for the lease's length, on this process's monotonic clock: no
    step of the database's clock ends a lease or prolongs it. After an outage of the database or of the dispatcher itself
    everyone gets a full lease of grace: a worker that could not renew because nobody could is not dead."""

    interval = 1.0

    def __init__(self) -> None:
        #: Of each worker that lives: the end of its lease as the row has it, and since when it has been that.
        self._seen: dict[uuid.UUID, tuple[dt.datetime, float]] = {}
        self._last = 0.0

    def run_once(self) -> int:
        """Rescue; returns how many jobs were taken back."""
        now = time.monotonic()
        if now - self._last > self.interval + conf().worker_lease / 2:
            self._seen = {}
        over = self._look(now)
        self._last = now
        if over:
            sessions.end(over.values())
            logger.warning("Taken for dead, as the lease was not renewed: %s.", counted(self._bury(over), "worker"))
        back = taken = self._take_back()
        while taken == BATCH:
            back += (taken := self._take_back())
        return back

    def _look(self, now: float) -> dict[uuid.UUID, str]:
        """The workers whose lease is over, and the names of their sessions. The length of a lease its row tells: the heartbeat
        and the end were written together."""
        before, self._seen, over = self._seen, {}, {}
        living = Worker.objects.filter(stopped_at__isnull=True)
        for id, session, heartbeat, until in living.values_list("pk", "session", "heartbeat_at", "lease_until"):
            known, since = before.get(id, (until, now))
            self._seen[id] = until, since if known == until else now
            if now - self._seen[id][1] >= (until - heartbeat).total_seconds():
                over[id] = session
        return over

    def _bury(self, over: Iterable[uuid.UUID]) -> int:
        """Write down that these workers are lost; returns how many had not renewed after all."""
        with atomic():
            rows = Worker.objects.filter(pk__in=over, stopped_at__isnull=True).select_for_update(skip_locked=True)
            lost = [id for id, until in rows.values_list("pk", "lease_until") if until == self._seen[id][0]]
            return Worker.objects.filter(pk__in=lost).update(stopped_at=Now(), lost=True)

    def _take_back(self) -> int:
        """A batch, so that no transaction is long."""
        living = Worker.objects.filter(pk=OuterRef("worker"), stopped_at__isnull=True)
        rows = Job.objects.filter(~Exists(living), state=State.RUNNING).defer("arguments", "result")
        with atomic():
            # What somebody else has locked is taken back when it is free.
            orphans = list(rows.select_for_update(skip_locked=True, of=("self",))[:BATCH])
            settled = self._settle([self._verdict(job) for job in orphans])
        if not orphans:
            note("running_without_worker", 0)
            return 0
        note("running_without_worker", len(orphans), len(settled))
        logger.warning("Taken back from dead workers: %s.", counted(len(settled), "job"))
        signals.runs_settled((str(job.pk), job.attempt) for job in orphans)
        locks.free((job.pk, job.attempt) for job in orphans)
        return len(settled)

    def _settle(self, ends: list[Settlement]) -> set[str]:
        """Settle all; where a row refuses, all but that one."""
        try:
            with atomic():
                return set(statements.on(connection).settle(connection, ends))
        except ANY as error:
            if not refuses_value(error):
                raise
            if len(ends) == 1:
                text = f"Job {ends[0].id} of a dead worker cannot be taken back: {str(error).strip()}"
                troubles.note("taking back of a job", text, "Correct its row, or delete it.")
                return set()
        return {id for end in ends for id in self._settle([end])}

    def _verdict(self, job: Job) -> Settlement:
        error = WorkerLost(f"worker {job.worker} was lost while it ran this job")
        try:
            policy = get_kind(job.kind).retry
        except UnknownKind:
            policy = RetryPolicy()
        delay = next_delay(policy, job.counted_attempts, job.max_attempts, error)
        state = State.FAILED if delay is None else State.PENDING
        text = f"WorkerLost: {error}"
        end = Settlement(str(job.pk), job.attempt, state, Outcome.LOST, delay=delay, error=text, error_type="WorkerLost")
        return end._replace(fingerprint=fingerprint(end.error_type, text))
