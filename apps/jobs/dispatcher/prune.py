"""Prune: jobs that ended long ago are deleted, in small batches, with their attempts and log lines."""

import datetime as dt

from django.utils import timezone

from apps.jobs.conf import conf
from apps.jobs.models import Attempt, Job, LogLine, Worker
from apps.jobs.states import State

BATCH = 1_000


class Prune:
    """By state and age."""

    interval = 30.0

    def run_once(self) -> int:
        """Delete at most a batch of each state; returns how many jobs."""
        now = timezone.now()
        keep = {
            State.SUCCEEDED: conf().keep_succeeded,
            State.FAILED: conf().keep_failed,
            State.CANCELLED: conf().keep_failed,
        }
        pruned = sum(self._state(state, now - dt.timedelta(seconds=seconds)) for state, seconds in keep.items())
        Worker.objects.filter(stopped_at__lt=now - dt.timedelta(seconds=conf().keep_failed)).delete()
        return pruned

    def _state(self, state: State, before: dt.datetime) -> int:
        old = Job.objects.filter(state=state, finished_at__lt=before).order_by("finished_at")
        ids = list(old.values_list("pk", flat=True)[:BATCH])
        if ids:
            for model in (Attempt, LogLine):
                model._default_manager.filter(job__in=ids).delete()
            # Guarded again: one of them may have been run again by now.
            Job.objects.filter(pk__in=ids, state=state, finished_at__lt=before)._raw_delete("default")
        return len(ids)
