"""RabbitMQ: the queues, and the one place that publishes.

A message carries the job's id (AMQP's ``message-id``) and its kind's name (``type``), nothing else: the arguments stay in the
row. It is a token that tells a worker to look; losing it or having it twice is repaired by the claim and by reconcile.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import amqp
import amqp.spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from apps.jobs.conf import CELERY_QUEUE, conf
from apps.jobs.errors import BrokerError

logger = logging.getLogger(__name__)

#: Topic, because Celery's delayed delivery for quorum queues wants it.
EXCHANGE = Exchange("furrow", type="topic", durable=True)
#: Seconds without any answer after which a connection is given up.
TIMEOUT = 10.0
#: So many times in a row without an answer to a declaration, and a queue is taken to be stuck.
STUCK_AFTER = 2


def explain_url(url: str) -> str:
    """What is wrong with a broker URL; empty when it can be used."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"BROKER_URL cannot be read: {error}."
    if parts.scheme not in ("amqp", "amqps", "pyamqp"):
        return f"BROKER_URL starts with {parts.scheme or 'nothing'}://; Furrow needs RabbitMQ, amqp:// or amqps://."
    if not parts.hostname:
        return "BROKER_URL names no host."
    return "" if port is None or port > 0 else "BROKER_URL names no usable port."


def job_queue(name: str) -> Queue:
    """The quorum queue of this name: replicated, on disk, declared alike by everyone who touches it."""
    return Queue(name, EXCHANGE, routing_key=name, durable=True, queue_arguments={"x-queue-type": "quorum"})


def worker_queues() -> list[Queue]:
    """The queues that a worker consumes unless ``-Q`` says otherwise: every job queue, and Celery's own."""
    exchange = Exchange(CELERY_QUEUE, type="topic", durable=True)
    arguments = {"x-queue-type": "quorum"}
    own = Queue(CELERY_QUEUE, exchange, routing_key=CELERY_QUEUE, durable=True, queue_arguments=arguments)
    return [*(job_queue(name) for name in conf().queues), own]


class Publisher:
    """Publishes with publisher confirms, pipelined: many messages, then one wait.

    Connects when first used and again after any failure; :class:`BrokerError` says what went wrong, without the password.
    """

    def __init__(self, url: str) -> None:
        self._connection = Connection(
            url,
            connect_timeout=5,
            heartbeat=0,
            transport_options={
                "read_timeout": TIMEOUT,
                "write_timeout": TIMEOUT,
                "client_properties": {"connection_name": "furrow dispatcher"},
            },
        )
        self._channel: Any = None
        self._declared: set[str] = set()
        self._sent = 0
        self._unconfirmed: set[int] = set()
        self._refused: set[int] = set()
        self._stuck: Counter[str] = Counter()
        self._returned: set[str] = set()

    def publish(self, queue: str, jobs: Sequence[tuple[uuid.UUID, str]]) -> list[uuid.UUID]:
        """Send a message for each job (id, kind) and wait until RabbitMQ has confirmed them all.

        Returns:
            The ids that are in the queue now: RabbitMQ kept and routed them.

        Raises:
            BrokerError: not reachable, or no answer in time. Some of the messages may have arrived.
        """
        try:
            channel = self._open(queue)
            self._refused.clear()
            self._returned.clear()
            frames = {kind: _frames(channel, queue, kind) for kind in {kind for _, kind in jobs}}
            tags = dict(enumerate((id for id, _ in jobs), self._sent + 1))
            self._sent += len(jobs)
            self._unconfirmed.update(tags)
            channel.connection.transport.write(b"".join(frames[kind].replace(_ID, str(id).encode()) for id, kind in jobs))
            self._wait()
        except (amqp.AMQPError, OperationalError, OSError) as error:
            self.close()
            raise BrokerError(f"{self._connection.as_uri()}: {error or type(error).__name__}") from error
        if self._returned:
            # Somebody deleted the queue: declare it again before the next batch.
            self._declared.discard(queue)
        return [id for tag, id in tags.items() if tag not in self._refused and str(id) not in self._returned]

    def depth(self, queue: str) -> int:
        """Messages in the queue that no worker holds.

        Raises:
            BrokerError: as :meth:`publish`.
        """
        try:
            return int(self._open(queue).queue_declare(queue, passive=True).message_count)
        except (amqp.AMQPError, OperationalError, OSError) as error:
            self.close()
            raise BrokerError(f"{self._connection.as_uri()}: {error}") from error

    def replay(self, exchange: str, routing_key: str, properties: Mapping[str, Any], body: bytes) -> None:
        """Send any message again, and wait until RabbitMQ has it in a queue.

        Raises:
            BrokerError: not reachable, or no queue takes it.
        """
        known = {name: value for name, value in properties.items() if name in _REPLAYED}
        headers = {name: value for name, value in known.pop("application_headers", {}).items() if not name.startswith("x-")}
        message = amqp.Message(body, **known, application_headers=headers) if headers else amqp.Message(body, **known)
        try:
            channel = self._connection.channel()
            channel.confirm_select()
            returned: list[Any] = []
            channel.events["basic_return"].add(lambda *reason: returned.append(reason[0]))
            channel.basic_publish_confirm(message, exchange, routing_key, mandatory=True)
        except (amqp.AMQPError, OperationalError, OSError) as error:
            raise BrokerError(f"{self._connection.as_uri()}: {error or type(error).__name__}") from error
        finally:
            self.close()
        if returned:
            raise BrokerError(f"no queue takes a message for {routing_key!r} on exchange {exchange!r}")

    def close(self) -> None:
        """Drop the connection, also a broken one."""
        self._channel = None
        self._declared.clear()
        try:
            self._connection.collect(socket_timeout=1)
        except (amqp.AMQPError, OSError) as error:
            logger.debug("closing the broker connection: %s", error)

    def _open(self, queue: str) -> Any:
        if self._channel is None:
            self._channel = channel = self._connection.channel()
            self._sent = 0
            self._unconfirmed.clear()
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
        if queue not in self._declared:
            self._declare(queue)
        return self._channel

    def _declare(self, queue: str) -> None:
        """A quorum queue that was declared just before its node was killed can come back without a leader, for good: the broker
        answers, but not about this queue (seen on RabbitMQ 3.10). Then it is deleted and made anew; the rows are the record."""
        if self._stuck[queue] >= STUCK_AFTER:
            logger.error("Queue %s does not answer; it is deleted and declared anew.", queue)
            self._stuck[queue] = 0
            self._channel.queue_delete(queue)
        self._stuck[queue] += 1
        job_queue(queue)(self._channel).declare()
        del self._stuck[queue]
        self._declared.add(queue)

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while self._unconfirmed:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no publisher confirm within {TIMEOUT:g} s (a resource alarm?)")
            self._connection.drain_events(timeout=left)

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
#: Stands for a job's id in a message that is a pattern; no name contains it.
_ID = bytes(36)


def _frames(channel: Any, queue: str, kind: str) -> bytes:
    """What py-amqp writes to publish a job of this kind, with ``_ID`` in place of the id. With one such pattern a kind and one
    write a batch a message costs a twentieth of ``basic_publish``."""
    written: list[bytes] = []
    write_frame = frame_writer(channel.connection, SimpleNamespace(write=lambda frames: written.append(bytes(frames))))
    arguments = dumps("Bssbb", (0, EXCHANGE.name, queue, True, False))  # mandatory, not immediate
    name = kind.encode()[:255].decode(errors="ignore")  # as long as AMQP allows; no kind of ours is longer
    message = amqp.Message(b"", delivery_mode=2, message_id=_ID.decode(), type=name)
    write_frame(1, channel.channel_id, amqp.spec.Basic.Publish, arguments, message)
    return b"".join(written)


def queue_names(queues: Iterable[Queue]) -> list[str]:
    """The job queues among these."""
    return sorted({queue.name for queue in queues} & set(conf().queues))
