"""Events at RabbitMQ: the exchange, the queues of subscribers, and messages in CloudEvents' form."""

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import amqp
import amqp.spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from kombu import Exchange, Queue, binding

from furrow.conf import conf
from furrow.errors import QueueRefused
from furrow.rabbitmq.broker import Publisher
from furrow.rabbitmq.topology import refusal
from furrow.statements import Outgoing
from furrow.topics import LONGEST

#: Where all events are published, by their names.
EVENTS = Exchange("furrow.events", type="topic", durable=True)
CONTENT_TYPE = "application/cloudevents+json"


def subscribers_queue(name: str, patterns: Sequence[str]) -> Queue:
    """A subscriber's queue, which keeps what comes while the subscriber is away. One process reads it at a time: so jobs are
    made in the order of the events."""
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    bindings = [binding(EVENTS, routing_key=pattern) for pattern in patterns]
    return Queue(name, bindings=bindings, durable=True, queue_arguments=arguments)


class EventPublisher(Publisher):
    """Publishes events, in their order, each with a confirm. Whenever it connects it declares the exchange and the subscribers'
    queues, so that none misses what is published from then on."""

    def __init__(self, queues: Mapping[str, Sequence[str]]) -> None:
        """``queues``: of each subscriber's queue the patterns."""
        super().__init__()
        self._queues = [subscribers_queue(name, patterns) for name, patterns in queues.items()]

    def send(self, events: Sequence[Outgoing], only: str = "") -> set[int]:
        """Publish these; returns the ids of those that RabbitMQ has confirmed, for every queue that wants them. ``only``: not
        to the exchange, but to this queue alone.

        Raises:
            QueueRefused: a queue or the exchange is there, declared otherwise; nothing was sent.
            BrokerError: not reachable, or no answer in time. Some of the events may have arrived.
        """
        with self._explained():
            channel = self._open(EVENTS.name)
            self._refused.clear()
            tags = dict(enumerate((event.id for event in events), self._sent + 1))
            frames = _written(channel, events, only)
            self._sent += len(events)
            self._unconfirmed.update(tags)
            channel.connection.transport.write(frames)
            self._wait()
        return {id for tag, id in tags.items() if tag not in self._refused}

    def _declare(self, queue: str) -> None:
        name = queue
        try:
            EVENTS(self._channel).declare()
            for one in self._queues:
                name = one.name
                one(self._channel).declare()
        except amqp.ChannelError as error:
            raise QueueRefused(refusal(name, error)) from error
        self._declared.add(queue)


def declare(queues: Mapping[str, Sequence[str]]) -> None:
    """Declare the exchange and these queues of subscribers.

    Raises:
        BrokerError: not reachable, or RabbitMQ refuses one.
    """
    publisher = EventPublisher(queues)
    try:
        publisher.send([])
    finally:
        publisher.close()


def cloud_event(event: Outgoing) -> bytes:
    """CloudEvents 1.0, JSON, structured. ``number`` and ``depth`` are extensions of ours."""
    attributes = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": conf().event_source,
        "type": event.name,
        "time": event.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        **({"subject": event.job} if event.job else {}),
        **({"number": event.number} if event.number is not None else {}),
        **({"depth": event.depth} if event.depth else {}),
    }
    return f'{json.dumps(attributes, ensure_ascii=False)[:-1]}, "data": {event.data}}}'.encode(errors="replace")


def routing_key(name: str) -> str:
    """The event's name; of one that is too long for AMQP, as a kind of foreign letters may make it, the middle is left out."""
    if len(name.encode(errors="replace")) <= LONGEST:
        return name
    head, _, end = name.rpartition(".")
    end = end.encode(errors="replace")[: LONGEST // 2].decode(errors="ignore")
    return f"{head.encode(errors='replace')[: LONGEST - 1 - len(end.encode())].decode(errors='ignore')}.{end}"


def _written(channel: Any, events: Sequence[Outgoing], only: str) -> bytes:
    """The frames of all: one write instead of one an event."""
    written: list[bytes] = []
    write_frame = frame_writer(channel.connection, SimpleNamespace(write=lambda frames: written.append(bytes(frames))))
    for event in events:
        message = amqp.Message(cloud_event(event), content_type=CONTENT_TYPE, delivery_mode=2, message_id=str(event.id))
        to = ("", only) if only else (EVENTS.name, routing_key(event.name))
        arguments = dumps("Bssbb", (0, *to, False, False))
        write_frame(1, channel.channel_id, amqp.spec.Basic.Publish, arguments, message)
    return b"".join(written)
