"""The bridges' end at RabbitMQ: consumes the queues that other programs own."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import amqp
from celery import current_app
from kombu import Exchange, Queue, binding
from kombu.exceptions import OperationalError

from furrow.bridge import Bridge
from furrow.errors import BrokerError
from furrow.rabbitmq.patient import TIMEOUT, nonsense, patient

logger = logging.getLogger(__name__)

#: Seconds between two tries of a queue that cannot be consumed.
AGAIN = 5.0
#: Seconds of silence after which RabbitMQ counts as lost.
HEARTBEAT = 30


class Arrived(NamedTuple):
    """A message that is not yet acknowledged."""

    bridge: Bridge
    #: kombu's: ``body`` (bytes), ``properties``, ``headers``, ``delivery_info``.
    message: Any

    @property
    def body(self) -> bytes:
        """As it was sent."""
        return bytes(self.message.body)


class Inbox:
    """One connection, and a channel for each bridge: a queue that is refused costs its own channel and no other."""

    def __init__(self, bridges: Sequence[Bridge], place: Callable[[Bridge], int | str] = lambda bridge: bridge.start) -> None:
        """``place``: where to read a bridge's stream from, an offset or one of :data:`furrow.bridge.STARTS`."""
        self._bridges = bridges
        self._place = place
        self._connection: Any = None
        self._channels: dict[Bridge, Any] = {}
        self._tags: dict[Bridge, str] = {}
        self._next_try = dict.fromkeys(bridges, 0.0)
        self._arrived: list[Arrived] = []
        self._beat_at = 0.0
        #: Why a bridge's queue is not consumed.
        self.refused: dict[Bridge, str] = {}
        #: Bridges that shall not be read now.
        self.paused: set[Bridge] = set()

    def poll(self, seconds: float, most: int) -> list[Arrived]:
        """Wait so long for messages, and take at most so many that are there.

        Raises:
            BrokerError: RabbitMQ is away. What has arrived and was not acknowledged comes again.
        """
        try:
            if self._connection is None:
                self._open()
            self._look()
            end = time.monotonic() + seconds
            while len(self._arrived) < most and (left := end - time.monotonic()) > 0:
                try:
                    self._connection.drain_events(timeout=0.001 if self._arrived else min(left, 1.0))
                except TimeoutError:
                    if self._arrived:
                        break
                except amqp.ChannelError as error:  # of one queue
                    self._lost(error)
            taken, self._arrived = self._arrived[:most], self._arrived[most:]
            return taken
        except Exception as error:  # whatever answers where RabbitMQ should
            self.close()
            raise BrokerError(f"RabbitMQ: {_said(error)}") from error

    def acknowledge(self, arrived: Iterable[Arrived]) -> None:
        """These are jobs now. Those that could not be told come again.

        Raises:
            BrokerError: RabbitMQ is away.
        """
        try:
            for one in arrived:
                channel = self._channels.get(one.bridge)
                if channel is not None and channel is one.message.channel:
                    channel.basic_ack(one.message.delivery_tag)
        except (amqp.AMQPError, OSError) as error:
            self.close()
            raise BrokerError(f"RabbitMQ: {_said(error)}") from error

    def close(self) -> None:
        """Give back what is not acknowledged."""
        if self._connection is not None:
            self._connection.collect()
        self._connection, self._arrived = None, []
        self._channels.clear()
        self._tags.clear()

    def _open(self) -> None:
        connection = current_app.connection_for_read(heartbeat=HEARTBEAT)
        connection.connect_timeout = TIMEOUT
        connection.transport_options = {
            **connection.transport_options,
            "client_properties": {"connection_name": "furrow bridges"},
            "write_timeout": TIMEOUT,
        }
        self._connection = patient(connection)
        self._connection.ensure_connection(max_retries=max(0, len(connection.alt) - 1))
        self._next_try = dict.fromkeys(self._bridges, 0.0)

    def _look(self) -> None:
        """Once in a while: the heartbeat, queues that were refused, bridges that are paused or not any more."""
        now = time.monotonic()
        if now >= self._beat_at:
            self._connection.heartbeat_check()
            self._beat_at = now + HEARTBEAT / 4
        for bridge in self._bridges:
            if bridge in self._tags and bridge in self.paused:
                self._give_back(bridge)
                self._next_try[bridge] = 0.0
            elif bridge not in self._tags and bridge not in self.paused and now >= self._next_try[bridge]:
                self._next_try[bridge] = now + AGAIN
                self._consume(bridge)

    def _consume(self, bridge: Bridge) -> None:
        channel = self._channels.get(bridge)
        if channel is None:
            channel = self._channels[bridge] = self._connection.channel()
            channel.auto_decode = False
            # py-amqp would open a channel that RabbitMQ has closed again: without its consumer.
            channel._do_revive = partial(setattr, channel, "is_open", False)
        try:
            declared(bridge)(channel).declare() if bridge.declare else channel.queue_declare(bridge.queue, passive=True)
            channel.basic_qos(0, bridge.prefetch, False)
            self._tags[bridge] = channel.basic_consume(
                bridge.queue,
                arguments={"x-stream-offset": self._place(bridge)} if bridge.type == "stream" else None,
                callback=partial(self._on_message, bridge, channel),
                on_cancel=partial(self._on_cancel, bridge),
            )
        except amqp.ChannelError as error:
            self._forget(bridge)
            self._refuse(bridge, _refusal(bridge, error))
        else:
            if self.refused.pop(bridge, None):
                logger.info("Queue %s is consumed again.", bridge.queue)

    def _on_message(self, bridge: Bridge, channel: Any, message: Any) -> None:
        self._arrived.append(Arrived(bridge, channel.message_to_python(message)))

    def _on_cancel(self, bridge: Bridge, _tag: str) -> None:
        self._tags.pop(bridge, None)
        self._refuse(bridge, "it was deleted")

    def _lost(self, error: amqp.ChannelError) -> None:
        for bridge, channel in list(self._channels.items()):
            if not channel.is_open:
                self._forget(bridge)
                self._refuse(bridge, error.reply_text or str(error))

    def _give_back(self, bridge: Bridge) -> None:
        """Read no more. The channel's end returns what is not acknowledged. Of a queue with one reader at a time only then
        another process gets anything, so the order stays that of the queue; a cancelled consumer would let it begin sooner."""
        channel = self._channels[bridge]
        if not declared(bridge).queue_arguments.get("x-single-active-consumer"):
            channel.basic_cancel(self._tags[bridge])  # else py-amqp warns of each message that is on its way
        self._forget(bridge)
        channel.close()

    def _forget(self, bridge: Bridge) -> None:
        """The channel is gone, and what it brought comes again: it must not become jobs twice."""
        channel = self._channels.pop(bridge)
        self._tags.pop(bridge, None)
        self._arrived = [one for one in self._arrived if one.message.channel is not channel]
        if not channel.is_open:
            channel.collect()

    def _refuse(self, bridge: Bridge, reason: str) -> None:
        if self.refused.get(bridge) != reason:
            logger.warning("Queue %s cannot be consumed (%s); the other bridges go on.", bridge.queue, reason)
        self.refused[bridge] = reason


class Standing(NamedTuple):
    """How a bridge's queue stands in RabbitMQ."""

    #: Messages that nobody holds; ``None``: the queue cannot be looked at.
    messages: int | None
    #: Why nobody consumes it; empty: somebody does.
    problem: str = ""


def unread(bridges: Iterable[Bridge]) -> dict[str, str]:
    """The bridges' queues that nobody consumes, and why.

    Raises:
        BrokerError: RabbitMQ is away.
    """
    return {queue: standing.problem for queue, standing in standings(bridges).items() if standing.problem}


def standings(bridges: Iterable[Bridge]) -> dict[str, Standing]:
    """How the bridges' queues stand, by name.

    Raises:
        BrokerError: RabbitMQ is away.
    """
    idle = "no bridge consumes it (manage.py furrow bridges; too many of its jobs wait?)"
    found: dict[str, Standing] = {}
    try:
        with patient(current_app.connection_for_read(connect_timeout=TIMEOUT)) as connection:
            for bridge in bridges:
                try:
                    with connection.channel() as channel:
                        queue = channel.queue_declare(bridge.queue, passive=True)
                        found[bridge.queue] = Standing(queue.message_count, "" if queue.consumer_count else idle)
                except amqp.ChannelError as error:
                    found[bridge.queue] = Standing(None, error.reply_text or str(error))
    except Exception as error:  # whatever answers where RabbitMQ should
        raise BrokerError(f"RabbitMQ: {_said(error)}") from error
    return found


def declared(bridge: Bridge) -> Queue:
    """The bridge's queue, as kombu declares it."""
    arguments = {**({} if bridge.type == "classic" else {"x-queue-type": bridge.type}), **bridge.arguments}
    if bridge.single_active:
        arguments["x-single-active-consumer"] = True
    exchange = Exchange(bridge.exchange, type=bridge.exchange_type, durable=True) if bridge.exchange else None
    keys = (bridge.routing_key, *bridge.more_keys) if bridge.more_keys else ()
    return Queue(
        bridge.queue,
        exchange,
        routing_key=bridge.routing_key if exchange else bridge.queue,
        durable=bridge.durable,
        auto_delete=bridge.auto_delete,
        queue_arguments=arguments,
        bindings=[binding(exchange, routing_key=key) for key in keys],
    )


def _refusal(bridge: Bridge, error: amqp.ChannelError) -> str:
    """What RabbitMQ says; where it compared two declarations, with the bridge's: it names its own only in part."""
    said = error.reply_text or str(error)
    if not isinstance(error, amqp.PreconditionFailed):
        return said
    queue = declared(bridge)
    return (
        f"{said}; the bridge declares durable={queue.durable}, auto_delete={queue.auto_delete}, "
        f"arguments={queue.queue_arguments}"
    )


def _said(error: Exception) -> str:
    known = isinstance(error, amqp.AMQPError | OperationalError | OSError)
    return (str(error) if known else nonsense(error)) or type(error).__name__
