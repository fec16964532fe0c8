"""Rescue: jobs of workers whose lease is over go back to pending, or fail when no attempt is left."""

import logging
import time

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from apps.jobs import locks, sessions, statements
from apps.jobs.conf import conf
from apps.jobs.drift import note
from apps.jobs.errors import FurrowError, UnknownKind
from apps.jobs.kinds import get_kind
from apps.jobs.models import Job, Worker
from apps.jobs.retry import RetryPolicy, next_delay
from apps.jobs.signature import sign
from apps.jobs.statements import Settlement
from apps.jobs.states import Outcome, State

logger = logging.getLogger(__name__)

BATCH = 500


class WorkerLost(FurrowError):
    """The worker's lease ended without news of the job."""


class Rescue:
    """By the database's clock. After an outage of the database or of the dispatcher itself everyone gets a full lease of grace
    first: a worker that could not renew because nobody could is not dead."""

    interval = 2.0

    def __init__(self) -> None:
        self._grace_until = 0.0
        self._last = 0.0

    def run_once(self) -> int:
        """Rescue; returns how many jobs were taken back."""
        now, lease = time.monotonic(), conf().worker_lease
        if now - self._last > self.interval + lease / 2:
            self._grace_until = now + lease
        self._last = now
        if now < self._grace_until:
            return 0
        over = Worker.objects.filter(stopped_at__isnull=True, lease_until__lt=Now())
        if names := list(over.values_list("session", flat=True)):
            sessions.end(names)
            with transaction.atomic():
                ids = list(over.select_for_update(skip_locked=True).values_list("pk", flat=True))
                lost = over.filter(pk__in=ids).update(stopped_at=Now(), lost=True)
            logger.warning("%d workers did not renew their lease and are taken for dead.", lost)
        back = taken = self._take_back()
        while taken == BATCH:
            back += (taken := self._take_back())
        return back

    def _take_back(self) -> int:
        """A batch, so that no transaction is long."""
        living = Worker.objects.filter(pk=OuterRef("worker"), stopped_at__isnull=True)
        rows = Job.objects.filter(~Exists(living), state=State.RUNNING).defer("arguments", "result")
        with transaction.atomic():
            # What somebody else has locked is taken back when it is free.
            orphans = list(rows.select_for_update(skip_locked=True, of=("self",))[:BATCH])
            settled = statements.on(connection).settle(connection, [self._verdict(job) for job in orphans])
        if not orphans:
            note("running_without_worker", 0)
            return 0
        note("running_without_worker", len(orphans), len(settled))
        logger.warning("%d jobs of dead workers were taken back.", len(settled))
        locks.free((job.pk, job.attempt) for job in orphans)
        return len(settled)

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
        return end._replace(signature=sign(end.error_type, text))
