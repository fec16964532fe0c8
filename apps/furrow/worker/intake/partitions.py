"""The partitions that a worker consumes: of each key one job at a time, in the order of the messages.

Each partition has a channel of its own. RabbitMQ gives a partition's messages to one of its consumers, the others stand by;
they arrive here in order, and are sorted into lines, one a key. Only the first of a line may be claimed, and its message is
acknowledged when the job has ended for good (by the database, in whatever worker). Then the next one is the first.

So it does not matter who has which messages, when or how often: whoever gets a key's messages gets all that have not ended, in
order, and moves on only as the database says. When this worker dies, or its channel is closed, RabbitMQ gives all of them at
once to the next consumer. That one cannot claim a job which still runs elsewhere, and waits: for the end of that run, or for
the rescue. Two workers that both think a partition theirs do the same things in the same order.

docs/partitions.md says what is promised.
"""

import logging
import time
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

import amqp
from kombu.exceptions import OperationalError

from furrow import statements
from furrow.conf import conf
from furrow.partitions import Queue, share_out
from furrow.rabbitmq.topology import partition_exchange
from furrow.statements import Claimed
from furrow.worker.failing import Watched
from furrow.worker.intake.lines import Arrived, Lines
from furrow.worker.intake.readable import job_of
from furrow.worker.ledger.dead import DeadMessages
from furrow.worker.pool.shutdown import STOPPED, shutdown_requested
from furrow.worker.pool.supervisor import PoolSupervisor

logger = logging.getLogger(__name__)

#: Messages of one partition that a worker holds at most.
PREFETCH = 250
#: Jobs in one claim at most.
MAX_CLAIM = 500
#: Seconds between two looks at lines whose first job runs elsewhere or is not due; and at which other workers there are.
AGAIN, OTHERS = 0.5, 2.5
#: Seconds until the next look for a partition that is not there.
MISSING = 2.0


class Partitions:
    """One for the life of a worker; without a queue that has partitions it does nothing."""

    def __init__(self, supervisor: PoolSupervisor) -> None:
        self.supervisor = supervisor
        self._queues = conf().partitioned
        self._channels: dict[str, Any] = {}  # by partition
        self._lines = Lines()
        self._claiming: set[str] = set()
        self._asked: set[str] = set()  # of these it is being asked whether they ended
        self._to_ask: set[str] = set()
        self._again_at = self._others_at = self._open_at = 0.0
        self._shares: dict[str, dict[str, uuid.UUID]] = {}  # by queue: which worker should have which partition
        self._settled_shares: dict[str, dict[str, uuid.UUID]] = {}  # that was so at two looks in a row
        self._misplaced: set[str] = set()
        self._dead = DeadMessages(supervisor.ledger.keep, supervisor.ledger.lease.node, set())
        self._closed = False

    def standing(self) -> dict[str, int]:
        """How many messages of each partition this worker has in its hands; may be asked by any thread."""
        return self._lines.standing()

    # --- messages -----------------------------------------------------------------------------------------------------------

    def look(self, consumer: Any) -> None:
        """Once in a while: consume the partitions of the queues that this worker consumes, and no others; try the waiting lines
        again; leave a partition to the worker that should have it."""
        if not self._queues or self._closed or shutdown_requested():
            return
        now = time.monotonic()
        if now >= self._others_at:
            self._others_at = now + OTHERS
            self._look_for_others()
        consumed = consumer.app.amqp.queues.consume_from
        wanted = {
            part
            for name, queue in self._queues.items()
            if name in consumed and name not in self.supervisor.paused
            for part in queue.parts
        }
        for part in [part for part in self._channels if part not in wanted or part in self._misplaced]:
            self._close(part)
        if now >= self._open_at:
            for part in sorted(wanted - self._channels.keys()):
                self._open(consumer, part)
        if now >= self._again_at:
            self._again_at = now + AGAIN
            self._lines.again(self._with_us())
        self.pump()

    def _open(self, consumer: Any, part: str) -> None:
        channel = consumer.connection.channel()
        channel.basic_qos(0, PREFETCH, False)
        try:
            channel.queue_declare(part, passive=True)
        except amqp.NotFound:
            # Not declared yet, or deleted by somebody. Who declares it must bind it, as the dispatcher does.
            channel.close()
            self._open_at = time.monotonic() + MISSING
            return

        def on_cancel(tag: str) -> None:
            """Somebody deleted the queue."""
            self._close(part)

        self._channels[part] = channel
        channel.basic_consume(
            part,
            consumer_tag=f"{consumer.hostname}/{part}",
            callback=Watched(partial(self._on_message, part), "message of a partition"),
            on_cancel=on_cancel,
        )

    def _close(self, part: str) -> bool:
        """RabbitMQ gives all messages of this channel to the next consumer, in their order; ``False`` if it does not answer."""
        channel = self._channels.pop(part)
        self._lines.drop(part)
        self._misplaced.discard(part)
        try:
            channel.close()
        except (amqp.AMQPError, OperationalError, OSError) as error:
            logger.debug("closing the channel of %s: %s", part, error)
            return False
        return True

    def close(self) -> None:
        """Claim nothing more; what a claim under way brings is handed back."""
        self._closed = True

    def leave(self) -> None:
        """This worker stops: others take its partitions over, and wait for what still runs here."""
        for part in list(self._channels):
            if not self._close(part):
                break
        self.drop()

    def drop(self) -> None:
        """The connection is gone, and with it the right to acknowledge: RabbitMQ gives these messages out again."""
        self._channels.clear()
        self._misplaced.clear()
        self._lines = Lines()

    def _on_message(self, part: str, message: Any) -> None:
        try:
            self._came_by_its_key(part, message)
            id, kind = job_of(message.properties)
        except ValueError as error:
            self._dead.keep(message.channel.message_to_python(message), str(error))
            return
        arrived = Arrived(message.channel, message.delivery_info["delivery_tag"], id, kind)
        if not self._lines.add(part, message.delivery_info["routing_key"], arrived):
            # A second message of a job that stands in a line: it was put back, and may be due by now.
            _acknowledge([arrived])
            if id not in self._with_us():
                self._lines.try_again(id)
        if self._should_be_elsewhere(part):
            self._misplaced.add(part)
        self.pump()

    def _came_by_its_key(self, part: str, message: Any) -> None:
        """Raises ValueError if somebody put the message straight into the partition: it says nothing of its place."""
        exchange = partition_exchange(part.rpartition(".")[0]).name
        if (other := message.delivery_info["exchange"]) != exchange:
            raise ValueError(
                f"It came to partition {part} through exchange {other!r}, and in order is only what {exchange!r} sends."
            )

    # --- claims -------------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Claim first ones of lines as far as there is room, if no claim is under way."""
        if self._claiming or self._closed or not self._lines.ready:
            return
        room, cost = self.supervisor.capacity.room(), self.supervisor.capacity.prefetch.cost
        batch: list[Arrived] = []
        while self._lines.ready and room > 0 and len(batch) < MAX_CLAIM:
            if (arrived := self._lines.next()) is not None:
                batch.append(arrived)
                room -= cost(arrived.kind)
        if batch:
            kinds = {arrived.id: arrived.kind for arrived in batch}
            self._claiming = set(kinds)
            self.supervisor.ledger.claim(kinds, lambda claimed: self._on_claimed(set(kinds), claimed))

    def _on_claimed(self, ids: set[str], claimed: list[Claimed] | None) -> None:
        self._claiming = set()
        if claimed is None:  # the database is away
            return
        if self._closed:
            for job in claimed:
                self.supervisor.hand_back(job, STOPPED)
            return
        self.supervisor.take_on(claimed)
        self._ask(ids - {job.id for job in claimed})
        self.pump()

    @property
    def claiming(self) -> bool:
        """A claim is on its way."""
        return bool(self._claiming)

    def _with_us(self) -> set[str]:
        """Jobs that this worker runs, or is about to."""
        running = {running.job.id for running in self.supervisor.running.values()}
        return running | {job.id for job in self.supervisor.assigned} | self._claiming

    # --- ends ---------------------------------------------------------------------------------------------------------------

    def on_settle(self, id: str) -> None:
        """The run of this job is being settled: if that was its end, it leaves its line."""
        if id in self._lines:
            self._ask({id})

    def _ask(self, ids: Iterable[str]) -> None:
        """Have those that ended leave their lines."""
        self._to_ask.update(ids)
        if not self._to_ask or self._asked:
            return
        asked, self._to_ask = self._to_ask, set()
        self._asked = asked
        self.supervisor.ledger.ask(
            lambda connection: statements.on(connection).unended(connection, asked), lambda left: self._on_answer(asked, left)
        )

    def _on_answer(self, asked: set[str], left: set[str] | None) -> None:
        self._asked = set()
        if left is not None:
            _acknowledge(arrived for id in asked - left if (arrived := self._lines.leave(id)) is not None)
        self._ask(())
        self.pump()

    # --- shares -------------------------------------------------------------------------------------------------------------

    def _look_for_others(self) -> None:
        for queue in self._queues.values():
            self._look_for_others_of(queue)

    def _look_for_others_of(self, queue: Queue) -> None:
        self.supervisor.ledger.ask(
            lambda connection: statements.on(connection).workers_of(connection, queue.name),
            lambda workers: self._on_others(queue, workers),
        )

    def _on_others(self, queue: Queue, workers: list[uuid.UUID] | None) -> None:
        if workers is None:
            return
        shares = share_out(queue.parts, workers)
        self._settled_shares[queue.name] = shares if shares == self._shares.get(queue.name) else {}
        self._shares[queue.name] = shares

    def _should_be_elsewhere(self, part: str) -> bool:
        """Another worker should have this partition, and has had the time to stand by for it."""
        shares = self._settled_shares.get(part.rpartition(".")[0], {})
        return shares.get(part, self.supervisor.ledger.lease.worker) != self.supervisor.ledger.lease.worker


def _acknowledge(messages: Iterable[Arrived]) -> None:
    for arrived in messages:
        try:
            arrived.channel.basic_ack(arrived.tag)
        except (amqp.AMQPError, OSError, AttributeError) as error:  # the channel was closed: the message comes again
            logger.debug("message %s was not acknowledged: %s", arrived.tag, error)
