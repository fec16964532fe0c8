"""Prune: delete jobs that ended long ago, in small batches, with their attempts and log lines."""

import datetime as dt
import time
import uuid
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from furrow import statements
from furrow.conf import conf
from furrow.dispatcher.clock import Clock
from furrow.models import ApiAnswer, DeadMessage, Job, Signal, Trouble, Worker, WorkerRequest, Workflow
from furrow.models.database import atomic, connection
from furrow.states import State
from furrow.workflows.deleting import delete_workflow

#: Jobs in a batch, at most and at first. The attempts and log lines of a few may be millions.
BATCH, FIRST = 1_000, 50
#: Seconds of pruning in one round; dispatch waits for it.
ROUND = 0.2
#: Seconds between the beginnings of two rounds, while there is more to delete and when there is not.
BUSY, IDLE = 1.0, 5.0
#: Seconds between two looks at all that is old. Rounds in between look at what became old since: jobs that keep a unique key
#: for longer are passed over in the long look only. A century: no bound.
LONG_LOOK, NO_BOUND = 600.0, 100 * 365 * 86_400.0

#: Workflows that one round passes over: they are locked, or one inside has a fork.
PASSED_OVER = 20

#: Troubles are shown for some minutes only; the rest is for who looks into the table.
TROUBLES_KEPT = dt.timedelta(days=1)
#: For so long an idempotency key hands back the first answer.
ANSWERS_KEPT = dt.timedelta(days=1)


class Prune:
    """By state and age, in batches that take no longer than a round. Keeps up with what a busy worker finishes
    (docs/queue_table.md)."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.interval = IDLE
        self._clock = clock
        self._long_look_at = 0.0
        self._size = FIRST
        self._event = 0  # the last that was looked at

    def run_once(self) -> int:
        """Delete batch by batch, for about ``ROUND`` at most; returns how many jobs. None for a while after the clock was set
        forward: people may set it back, and what is gone is gone."""
        if self._clock is not None and self._clock.leapt:
            return 0
        began = time.monotonic()
        end, pruned, long = began + ROUND, 0, began >= self._long_look_at
        keep = {
            State.SUCCEEDED: conf().keep_succeeded,
            State.FAILED: conf().keep_failed,
            State.CANCELLED: conf().keep_failed,
        }
        for state, seconds in keep.items():
            while (
                deleted := self._batch(state, seconds, NO_BOUND if long else seconds + 2 * LONG_LOOK)
            ) and time.monotonic() < end:
                pruned += deleted
            pruned += deleted
        now = statements.on(connection).clock(connection)
        long_ago = now - dt.timedelta(seconds=conf().keep_failed)
        _delete(Worker.objects.filter(stopped_at__lt=long_ago))
        _delete(DeadMessage.objects.filter(received_at__lt=long_ago))
        _delete(WorkerRequest.objects.filter(asked_at__lt=long_ago))
        _delete(ApiAnswer.objects.filter(at__lt=now - ANSWERS_KEPT))
        of_a_job = Job.objects.filter(pk=OuterRef("target"))
        _delete(Signal.objects.filter(~Exists(of_a_job), sent_at__lt=long_ago, consumed_at=None))
        _delete(Trouble.objects.filter(last_at__lt=now - TROUBLES_KEPT))
        for state, seconds in keep.items():
            pruned += self._prune_workflows(state, now - dt.timedelta(seconds=seconds), end)
        self._event = 0 if long else self._event
        self._prune_events(end)
        if time.monotonic() >= end:
            self.interval = BUSY
        else:
            self.interval = IDLE
            if long:
                self._long_look_at = began + LONG_LOOK
        return pruned

    def _prune_workflows(self, state: State, long_ago: dt.datetime, end: float) -> int:
        """Of each all or nothing, but for its jobs, which are deleted first; returns how many of these."""
        forks = Workflow.objects.filter(fork_of=OuterRef("pk"))  # which have results of it
        ended = Workflow.objects.filter(~Exists(forks), state=state, finished_at__lt=long_ago, parent=None)
        pruned, left = 0, list[uuid.UUID]()
        while time.monotonic() < end and len(left) < PASSED_OVER:
            workflow = ended.exclude(pk__in=left).order_by("finished_at").first()
            if workflow is None:
                break
            deleted, whole = delete_workflow(workflow.pk, BATCH)
            pruned += deleted
            if not (deleted or whole):
                left.append(workflow.pk)
        return pruned

    def _prune_events(self, end: float) -> None:
        """From where the last round came to: those that stay are looked at in the long look only."""
        before = -1
        while self._event != before and time.monotonic() < end:
            before = self._event
            with atomic():
                _, self._event = statements.on(connection).prune_events(connection, conf().event_retention, before, BATCH)

    def _batch(self, state: State, age: float, oldest: float) -> int:
        began = time.monotonic()
        with atomic():
            pruned = statements.on(connection).prune(connection, state, age, self._size, oldest)
        took = time.monotonic() - began
        if took > ROUND:
            self._size = max(1, self._size // 4)
        elif pruned == self._size and took < ROUND / 4:
            self._size = min(BATCH, self._size * 2)
        return pruned


def _delete(old: QuerySet[Any]) -> None:
    """A batch; what somebody else has locked is deleted another time."""
    with atomic():
        ids = list(old.order_by().select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH])
        if ids:
            old.filter(pk__in=ids).delete()
