"""Prune: jobs that ended long ago are deleted, in small batches, with their attempts and log lines."""

import datetime as dt
import time

from django.db import router, transaction
from django.utils import timezone

from apps.jobs.conf import conf
from apps.jobs.models import Attempt, Job, LogLine, Worker
from apps.jobs.states import State

BATCH = 1_000
#: Seconds of pruning in one round; dispatch waits for it.
ROUND = 0.5


class Prune:
    """By state and age."""

    interval = 5.0

    def run_once(self) -> int:
        """Delete batch by batch, for about half a second at most; returns how many jobs."""
        now, end, pruned = timezone.now(), time.monotonic() + ROUND, 0
        keep = {
            State.SUCCEEDED: conf().keep_succeeded,
            State.FAILED: conf().keep_failed,
            State.CANCELLED: conf().keep_failed,
        }
        for state, seconds in keep.items():
            while (deleted := self._batch(state, now - dt.timedelta(seconds=seconds))) and time.monotonic() < end:
                pruned += deleted
            pruned += deleted
        Worker.objects.filter(stopped_at__lt=now - dt.timedelta(seconds=conf().keep_failed)).delete()
        return pruned

    def _batch(self, state: State, before: dt.datetime) -> int:
        with transaction.atomic():
            old = Job.objects.select_for_update(skip_locked=True).filter(state=state, finished_at__lt=before)
            ids = list(old.order_by("finished_at").values_list("pk", flat=True)[:BATCH])
            if not ids:
                return 0
            database = router.db_for_write(Job)
            LogLine.objects.filter(job__in=ids)._raw_delete(database)
            Attempt.objects.filter(job__in=ids)._raw_delete(database)
            Job.objects.filter(pk__in=ids)._raw_delete(database)
        return len(ids)
