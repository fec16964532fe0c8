"""Reconcile: compare queued rows with RabbitMQ's messages, and send lost ones again."""

import datetime as dt
import logging
from collections.abc import Sequence

from django.db.models import Max

from furrow import statements
from furrow.actions.queues import put_back
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.diagnosis.drift import note
from furrow.diagnosis.explain import living_workers
from furrow.diagnosis.figures import in_lines
from furrow.dispatcher.dispatch import Dispatch
from furrow.errors import Unserved
from furrow.models import Job, Worker
from furrow.models.database import connection
from furrow.plural import counted
from furrow.rabbitmq.broker import Publisher
from furrow.states import State

logger = logging.getLogger(__name__)

#: Seconds after which a job that was queued should be in RabbitMQ's count, or begun.
SETTLED = 5.0


class Reconcile:
    """A job that was queued long ago may have lost its message (purged, deleted, dropped on a disk failure) when RabbitMQ holds
    fewer messages of its queue than jobs are queued, or when one that was sent later has begun: messages of a queue go out in
    their order. It goes back to pending and is sent again. A second message does no harm, and there is one in each
    ``FURROW_RESEND_AFTER`` at most."""

    interval = 5.0

    def __init__(self, publisher: Publisher, dispatches: Sequence[Dispatch]) -> None:
        self._publisher = publisher
        self._dispatches = dispatches

    def run_once(self) -> int:
        """Look at every queue; returns how many jobs were put back.

        Raises:
            BrokerError: RabbitMQ does not answer; nothing was changed.
        """
        looks = [self._look(dispatch.queue) for dispatch in self._dispatches if dispatch.held.oldest_age > SETTLED]
        found, back = map(sum, zip((0, 0), *looks, strict=True))
        note("queued_without_message", found, back)
        return back

    def _look(self, queue: str) -> tuple[int, int]:
        """As ``_queue``; a queue that RabbitMQ cannot serve does not bar the others. Its dispatch names it."""
        try:
            return self._queue(queue)
        except Unserved:
            return 0, 0

    def _queue(self, queue: str) -> tuple[int, int]:
        """How many of its jobs seem to have no message, and how many were put back."""
        now = statements.on(connection).clock(connection)
        stale = Job.objects.filter(queue=queue, state=State.QUEUED)
        held = stale.filter(queued_at__lt=now - dt.timedelta(seconds=SETTLED)).count()
        if not held:
            return 0, 0
        # Messages in the queue, and those that living workers have in their lines. Of those in their buffers they do not say
        # the queue: they only lessen the count of drift, which people are shown.
        holdings = self._publisher.holdings(queue)
        in_queue = sum(part.messages for part in holdings.values()) + self._in_lines(queue)
        age = SETTLED if in_queue == 0 and not self._consumers(queue) else conf().resend_after
        sent_before = now - dt.timedelta(seconds=age)
        if in_queue >= stale.count():
            overtaken = self._overtaken(queue)
            if overtaken is None:
                return 0, 0
            sent_before = min(sent_before, overtaken)
        back = put_back(stale.filter(queued_at__lt=sent_before))
        if back:
            logger.warning("%s of queue %s had no message any more: sent again.", counted(back, "queued job"), queue)
            self._look_for_strangers(queue, holdings[queue].consumers)
        in_buffers = sum(worker.stats.get("waiting", 0) for worker in self._consumers(queue))
        return max(back, held - in_queue - in_buffers), back

    def _look_for_strangers(self, queue: str, consumers: int) -> None:
        """Where messages get lost: workers of another database may take them, which know no such jobs."""
        known = len(self._consumers(queue))
        if consumers > known:
            troubles.tell(
                "sharing of a queue",
                f"Messages of queue {queue} get lost, and it has {counted(consumers, 'consumer')} in RabbitMQ, of which this "
                f"database knows {known}",
                "If another project, or another database, uses the same virtual host, give each its own, or other names in "
                "FURROW['QUEUES'].",
            )

    def _in_lines(self, queue: str) -> int:
        """Messages that workers told they have of a queue with partitions, where a job waits for those before it."""
        parted = conf().partitioned.get(queue)
        if parted is None:
            return 0
        living = living_workers(statements.on(connection).clock(connection))
        running = Job.objects.filter(queue=queue, state=State.RUNNING).count()
        return max(0, sum(in_lines(worker, parted.parts) for worker in living) - running)

    def _overtaken(self, queue: str) -> dt.datetime | None:
        """A moment before the newest of the jobs that run was sent: the messages of all that were sent earlier have left the
        queue. ``None``: nothing is known, as of a queue with partitions, where keys overtake each other."""
        if queue in conf().partitioned:
            return None
        running = Job.objects.filter(queue=queue, state=State.RUNNING)
        newest: dt.datetime | None = running.aggregate(newest=Max("queued_at"))["newest"]
        return newest and newest - dt.timedelta(seconds=SETTLED)

    def _consumers(self, queue: str) -> list[Worker]:
        return [worker for worker in Worker.objects.filter(stopped_at__isnull=True) if queue in worker.queues]
