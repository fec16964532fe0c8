"""RabbitMQ: the queues, and the one place that publishes.

A message carries the job's id (AMQP's ``message-id``) and its kind's name (``type``), nothing else: the arguments stay in the
row. It is a token that tells a worker to look; losing it or having it twice is repaired by the claim and by reconcile.
"""

import contextlib
import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import amqp
from celery import current_app
from kombu import Connection, Queue
from kombu.exceptions import OperationalError

from furrow.conf import conf
from furrow.errors import BrokerError, QueueRefused
from furrow.partitions import Queue as PartitionedQueue
from furrow.rabbitmq.patient import TIMEOUT, nonsense, patient
from furrow.rabbitmq.queues import EXCHANGE, job_queue
from furrow.rabbitmq.topology import lay as lay_ring
from furrow.rabbitmq.topology import partition, partition_exchange, refusal
from furrow.rabbitmq.wire import written, written_by_key

logger = logging.getLogger(__name__)

#: Seconds after a failure in which no new connection is tried: what else the dispatcher does in that round need not wait.
QUIET = 0.5
#: Seconds between two looks whether all partitions of a queue are there.
LOOK = 30.0
#: So many times in a row without an answer to a declaration, and a queue is taken to be stuck.
STUCK_AFTER = 4


class Held(NamedTuple):
    """What RabbitMQ says of one of its queues."""

    messages: int  #: that no worker holds
    consumers: int  #: of a partition, those that do not stand by: one at most


class Publisher:
    """Publishes with publisher confirms, pipelined: many messages, then one wait. Connects when first used and again after any
    failure; :class:`BrokerError` says what went wrong, without the password.
    """

    #: What RabbitMQ calls the connection.
    name = "furrow dispatcher"

    def __init__(self, url: str | None = None) -> None:
        """Without a URL it publishes where the project's Celery application does, with that one's credentials and TLS."""
        connect: Any = current_app.connection_for_write if url is None else Connection
        # Confirms are asked for below, many at once, and not by Celery's setting.
        options = {"confirm_publish": False, "read_timeout": TIMEOUT, "write_timeout": TIMEOUT}
        named = {"client_properties": {"connection_name": self.name}}
        self._connection = patient(connect(url, connect_timeout=TIMEOUT, heartbeat=0, transport_options=options | named))
        self._channel: Any = None
        self._failed: tuple[float, str] = 0.0, ""  # when (monotonic seconds), and what it was
        self._declared: set[str] = set()
        self._rings: dict[str, float] = {}  # of queues with partitions: when to look at it again
        self._sent = 0
        self._unconfirmed: set[int] = set()
        self._refused: set[int] = set()
        self._stuck: Counter[str] = Counter()
        self._returned: set[str] = set()

    def publish(
        self, queue: str, jobs: Sequence[tuple[uuid.UUID, str]], keys: Mapping[uuid.UUID, str] | None = None
    ) -> list[uuid.UUID]:
        """Send a message for each job (id, kind) and wait until RabbitMQ has confirmed them all.

        Jobs that have a key go to one of the queue's partitions (see :meth:`prepare`), the others to the queue itself.

        Returns:
            The ids that are in the queue now: RabbitMQ kept and routed them.

        Raises:
            QueueRefused: a queue of that name is there that Furrow did not make; nothing was sent.
            BrokerError: not reachable, or no answer in time. Some of the messages may have arrived.
        """
        with self._explained():
            channel = self._open(queue)
            self._refused.clear()
            self._returned.clear()
            if keys:
                frames = written_by_key(channel, EXCHANGE.name, partition_exchange(queue).name, queue, jobs, keys)
            else:
                frames = written(channel, EXCHANGE.name, queue, jobs)
            tags = dict(enumerate((id for id, _ in jobs), self._sent + 1))
            self._sent += len(jobs)
            self._unconfirmed.update(tags)
            channel.connection.transport.write(frames)
            self._wait()
        if self._returned:
            # Somebody deleted the queue: declare it again before the next batch.
            self._declared.discard(queue)
            self._rings.pop(queue, None)
        return [id for tag, id in tags.items() if tag not in self._refused and str(id) not in self._returned]

    def prepare(self, queue: PartitionedQueue) -> None:
        """Declare a queue with partitions, once in a connection's life, and look now and then whether all of it is still there:
        RabbitMQ would go on without a partition that somebody deleted, and spread its keys over the others.

        Raises:
            BrokerError, QueueRefused: as :meth:`publish`; also if a partition is gone. The next call declares it again.
            NoPartitions: RabbitMQ has no consistent-hash exchange.
        """
        if time.monotonic() < self._rings.get(queue.name, 0.0):
            return
        if queue.name in self._rings:
            self.holdings(queue.name)
        else:
            with self._explained():
                self._open(queue.name)
                lay_ring(self._connection, self._channel, queue)
        self._rings[queue.name] = time.monotonic() + LOOK

    def depth(self, queue: str) -> int:
        """Messages in the queue, and in its partitions, that no worker holds.

        Raises:
            BrokerError: as :meth:`publish`.
        """
        return sum(held.messages for held in self.holdings(queue).values())

    def holdings(self, queue: str) -> dict[str, Held]:
        """What RabbitMQ holds of a queue: of the queue itself, and of each of its partitions, by their names there.

        Raises:
            BrokerError: as :meth:`publish`.
        """
        parted = conf().partitioned.get(queue)
        with self._explained():
            channel = self._open(queue)
            answers = [channel.queue_declare(name, passive=True) for name in [queue, *(parted.parts if parted else ())]]
        return {answer.queue: Held(answer.message_count, answer.consumer_count) for answer in answers}

    def replay(self, exchange: str, routing_key: str, properties: Mapping[str, Any], body: bytes) -> None:
        """Send any message again, and wait until RabbitMQ has it in a queue.

        Raises:
            BrokerError: not reachable, or no queue takes it.
        """
        known = {name: value for name, value in properties.items() if name in _REPLAYED}
        headers = {name: value for name, value in known.pop("application_headers", {}).items() if not name.startswith("x-")}
        message = amqp.Message(body, **known, application_headers=headers) if headers else amqp.Message(body, **known)
        returned: list[Any] = []
        try:
            with self._explained():
                channel = self._connect()
                channel.events["basic_return"].add(lambda *reason: returned.append(reason[0]))
                channel.basic_publish_confirm(message, exchange, routing_key, mandatory=True)
        finally:
            self.close()
        if returned:
            raise BrokerError(f"no queue takes a message for {routing_key!r} on exchange {exchange!r}")

    def close(self) -> None:
        """Drop the connection, also a broken one."""
        self._channel = None
        self._declared.clear()
        self._rings.clear()
        try:
            self._connection.collect(socket_timeout=1)
        except Exception as error:  # whatever answers there
            logger.debug("closing the broker connection: %s", error)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever goes wrong costs the connection, and is said without the password: what answers may be anything."""
        try:
            yield
        except BrokerError:
            self.close()
            raise
        except Exception as error:
            self.close()
            reason = self._reason(error)
            if not isinstance(error, amqp.ChannelError):  # RabbitMQ answered: a queue is gone, or is not as declared
                self._failed = time.monotonic(), reason
            raise BrokerError(reason) from error

    def _reason(self, error: Exception) -> str:
        """Without the password."""
        if isinstance(error.__cause__ or error, TimeoutError):
            said = "it does not answer in time"
        else:
            said = str(error) if isinstance(error, amqp.AMQPError | OperationalError | OSError) else nonsense(error)
        return f"{self._connection.as_uri()}: {said or type(error).__name__}"

    def _open(self, queue: str) -> Any:
        if self._channel is None:
            self._channel = channel = self._connect()
            self._sent = 0
            self._unconfirmed.clear()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
        if queue not in self._declared:
            self._declare(queue)
        return self._channel

    def _connect(self) -> Any:
        """A channel with confirms, of a new connection. Each host is tried once: ``Connection.channel`` would pause, and
        try all of them again."""
        at, reason = self._failed
        if time.monotonic() < at + QUIET:
            raise BrokerError(reason)
        self._connection.ensure_connection(max_retries=max(0, len(self._connection.alt) - 1))
        channel = self._connection.channel()
        channel.confirm_select()
        return channel

    def _declare(self, queue: str) -> None:
        """A quorum queue that was declared just before its node was killed can come back without a leader, for good: the broker
        answers, but not about this queue (seen on RabbitMQ 3.10). Then it is deleted and made anew; the rows are the record.
        A queue that is not as declared is answered (RabbitMQ compares before it asks the leader), and never deleted."""
        self._declare_one(job_queue(queue))
        for name in parted.parts if (parted := conf().partitioned.get(queue)) else ():
            self._declare_one(partition(name))
        self._declared.add(queue)

    def _declare_one(self, queue: Queue) -> None:
        if self._stuck[queue.name] >= STUCK_AFTER:
            logger.error("Queue %s does not answer; it is deleted and declared anew.", queue.name)
            self._stuck[queue.name] = 0
            self._channel.queue_delete(queue.name)
        try:
            queue(self._channel).declare()
        except TimeoutError:
            self._stuck[queue.name] += 1
            raise
        except amqp.ChannelError as error:
            del self._stuck[queue.name]
            raise QueueRefused(refusal(queue.name, error)) from error
        del self._stuck[queue.name]

    def _wait(self) -> None:
        connection, missing = self._channel.connection, len(self._unconfirmed) + 1
        try:
            while self._unconfirmed:
                if missing > (missing := len(self._unconfirmed)):
                    connection.until = time.monotonic() + TIMEOUT
                connection.drain_events(timeout=TIMEOUT)
            connection.until = math.inf
        except TimeoutError:
            raise TimeoutError(f"no publisher confirm within {TIMEOUT:g} s (a resource alarm?)") from None

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._unconfirmed -= self._meant(tag, multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._refused |= self._meant(tag, multiple)
        self._on_ack(tag, multiple)

    def _meant(self, tag: int, multiple: bool) -> set[int]:
        return {sent for sent in self._unconfirmed if sent <= tag} if multiple else {tag}

    def _on_return(self, error: Any, exchange: str, routing_key: str, message: Any) -> None:
        self._returned.add(message.properties["message_id"])


#: The properties of a message that mean the same when it is sent again.
_REPLAYED = (
    *("content_type", "content_encoding", "application_headers", "delivery_mode", "priority"),
    *("correlation_id", "reply_to", "message_id", "type"),
)
