"""The intake: from a message to a claim.

The consumer gives every message of the jobs' exchange here. Messages wait in a buffer, unacknowledged, until a pool process
has room; then the ledger claims as many as will run soon, and once that claim is committed their messages are acknowledged:
from there on the lease protects the job, not the message.
"""

import logging
from collections import deque
from typing import Any

import amqp

from furrow.conf import conf
from furrow.plural import counted
from furrow.sanitize import clean
from furrow.statements import Claimed
from furrow.worker.failing import Watched
from furrow.worker.intake.lines import Arrived
from furrow.worker.intake.readable import job_of
from furrow.worker.ledger.dead import DeadMessages
from furrow.worker.older_celery import tasks_may_be_unsettled
from furrow.worker.pool.shutdown import STOPPED, shutdown_requested
from furrow.worker.pool.supervisor import PoolSupervisor

logger = logging.getLogger(__name__)

#: Jobs in one claim at most.
MAX_CLAIM = 1_000


class Intake:
    """One for the life of a worker; reconnecting to the broker empties its buffer."""

    def __init__(self, hub: Any, supervisor: PoolSupervisor) -> None:
        """``hub``: kombu's event loop."""
        self._hub = hub
        self._pump_soon = Watched(self.pump, "claims of a worker")
        self.supervisor = supervisor
        self._buffer: deque[Arrived] = deque()
        self._claims = 0
        self._pumping = False
        self._closed = False
        #: Delivery tags of other messages that came over the same channel and are not settled yet.
        self.others: set[int] = set()
        self.dead = DeadMessages(supervisor.ledger.keep, supervisor.ledger.lease.node, self.others)
        self._looking = False
        self._prefetch = 0  # messages that RabbitMQ may have sent and nobody acknowledged; 0: what Celery said

    def accept(self, channel: Any, tag: int, id: str, kind: str) -> None:
        """A message of a job arrived."""
        if "\0" in kind:  # no statement takes it
            kind = clean(kind)
        self._buffer.append(Arrived(channel, tag, id, kind))
        if self._claims == 0 and not self._pumping:
            self._pumping = True
            self._hub.call_soon(self._pump_soon)

    def accept_message(self, message: Any) -> None:
        """The same for a message that came the ordinary way."""
        try:
            id, kind = job_of(message.properties)
        except ValueError as error:
            self.dead.keep(message, str(error))
            return
        self.accept(message.channel, message.delivery_tag, id, kind)

    def pump(self) -> None:
        """Claim as much as there is room for, if no claim is under way."""
        self._pumping = False
        if self._claims or not self._buffer or self._closed:
            return
        room, cost = self.supervisor.capacity.room(), self.supervisor.capacity.prefetch.cost
        batch: list[Arrived] = []
        while self._buffer and room > 0 and len(batch) < MAX_CLAIM:
            arrived = self._buffer.popleft()
            batch.append(arrived)
            room -= cost(arrived.kind)
        if batch:
            self._claims += 1
            jobs = {arrived.id: arrived.kind for arrived in batch}
            self.supervisor.ledger.claim(jobs, lambda claimed: self._on_claimed(batch, claimed))

    def _on_claimed(self, batch: list[Arrived], claimed: list[Claimed] | None) -> None:
        self._claims -= 1
        if claimed is None:
            # The database is away: keep the messages and try again with the next heartbeat.
            self._buffer.extendleft(reversed(batch))
            return
        self._acknowledge(batch)
        if self._closed:
            for job in claimed:
                self.supervisor.hand_back(job, STOPPED)
            return
        self.supervisor.take_on(claimed)
        self.pump()

    def look(self, consumer: Any) -> None:
        """Once in a while: consume the queues that are chosen and no others, and hold no more messages than this worker needs,
        since those belong to other workers. That is what its processes do in a second; and none while every process runs
        something long. Messages returned would come straight back to a consumer with the old limit, so job queues are consumed
        anew."""
        tasks = consumer.task_consumer
        if tasks is None or self._looking or self._closed or shutdown_requested():
            return
        self._looking = True  # while an answer of RabbitMQ is waited for, remote control may ask for another look: the next one
        try:
            self._choose(consumer, tasks)
        finally:
            self._looking = False

    def _choose(self, consumer: Any, tasks: Any) -> None:
        chosen = self._chosen(consumer.app.amqp.queues.consume_from)
        consumed = {queue.name for queue in tasks.queues}
        wanted = self.supervisor.capacity.messages()
        fits = self.supervisor.capacity.blocked or self._prefetch / 2 <= wanted <= self._prefetch * 2
        if fits and chosen.keys() == consumed:
            return
        for name in consumed:
            if name not in chosen or name in conf().queues:
                tasks.cancel_by_queue(name)
        self._return_all_but(wanted if consumed <= chosen.keys() else 0)
        self._consume(tasks, chosen, wanted)

    def consume_tasks_anew(self, consumer: Any, prefetch: int) -> None:
        """Take so many more messages of ordinary tasks. Those that came remain this worker's."""
        tasks = consumer.task_consumer
        names = {queue.name for queue in tasks.queues}.difference(conf().queues)
        for name in names:
            tasks.cancel_by_queue(name)
        tasks.qos(prefetch_count=prefetch, apply_global=False)
        for name, queue in consumer.app.amqp.queues.consume_from.items():  # as remote control has it meanwhile
            if name in names and not tasks.consuming_from(name):
                tasks.add_queue(queue)
        tasks.consume()

    def _chosen(self, selected: dict[str, Any]) -> dict[str, Any]:
        """Of the queues that settings and remote control select, those to consume now."""
        left_out = conf().queues if self.supervisor.capacity.blocked else self.supervisor.paused
        return {name: queue for name, queue in selected.items() if name not in left_out}

    def _consume(self, tasks: Any, queues: dict[str, Any], prefetch: int) -> None:
        """A quorum queue's limit is the one that its channel had when its consumer began."""
        if not self.supervisor.capacity.blocked:
            self._prefetch = prefetch
            tasks.qos(prefetch_count=prefetch, apply_global=False)
        for name, queue in queues.items():
            if not tasks.consuming_from(name):
                tasks.add_queue(queue)
        tasks.consume()

    def _return_all_but(self, kept: int) -> None:
        """What came last goes back, in the order in which it came: RabbitMQ gives it out again as it is returned."""
        returned = [self._buffer.pop() for _ in range(len(self._buffer) - kept)]
        for arrived in reversed(returned):
            _return(arrived)

    @property
    def waiting(self) -> int:
        """Messages that wait for room."""
        return len(self._buffer)

    @property
    def claiming(self) -> bool:
        """A claim is on its way."""
        return self._claims > 0

    def close(self) -> None:
        """Claim nothing more; what a claim under way brings is handed back."""
        self._closed = True

    def drop(self) -> None:
        """The channel is gone, and with it the right to acknowledge: RabbitMQ gives these messages out again."""
        self._buffer.clear()
        self.others.clear()
        self._prefetch = 0

    def _acknowledge(self, batch: list[Arrived]) -> None:
        """Acknowledge; over a connection that broke meanwhile that cannot be done, and RabbitMQ gives the messages out again:
        the claim of the second one drops it.

        The messages are in the order of their arrival, and all earlier ones of the channel are acknowledged; so one frame does
        for all, unless ordinary tasks are under way on the same channel.
        """
        one_for_all = not (self.others or tasks_may_be_unsettled())
        try:
            for arrived in batch[-1:] if one_for_all else batch:
                arrived.channel.basic_ack(arrived.tag, multiple=one_for_all)
        except (amqp.AMQPError, OSError) as error:
            logger.debug("Not acknowledged: %s: %s", counted(len(batch), "message"), error)


def _return(arrived: Arrived) -> None:
    """Back to its queue, for another worker."""
    try:
        arrived.channel.basic_reject(arrived.tag, requeue=True)
    except (amqp.AMQPError, OSError) as error:
        logger.debug("message %s was not returned: %s", arrived.tag, error)
