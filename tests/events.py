"""Events, for tests: a program outside that hears them, the outbox that publishes them, subscribers that take them."""

import json
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from django.db import connection
from furrow import statements
from furrow.bridges.process import Bridges
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.outbox import Outbox
from furrow.events import subscribers
from furrow.events.subscribers import Subscriber
from furrow.models import BridgedMessage, Leader
from pika.exceptions import ChannelClosedByBroker

from tests import services

URL = services.broker.url.removesuffix("/") + "%2F"


QUEUES = ("told", "full", "listener", "listener.node", "listener.go")


@pytest.fixture
def outside() -> Iterator[Any]:
    """A channel of a program that knows only RabbitMQ, with a queue ``told`` that gets every event."""
    link = pika.BlockingConnection(pika.URLParameters(URL))
    channel = link.channel()
    channel.exchange_declare("furrow.events", "topic", durable=True)
    channel.queue_declare("told", durable=True)
    channel.queue_bind("told", "furrow.events", "#")
    yield channel
    for queue in (*QUEUES, *(f"furrow.events.kinds.{name}" for name in ("hears", "hears_and_says"))):
        link.channel().queue_delete(queue)
    link.close()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Subscriber]:
    """The subscribers of this process: only those of the test."""
    found: dict[str, Subscriber] = {}
    monkeypatch.setattr(subscribers, "_subscribers", found)
    return found


@pytest.fixture
def no_triggers(live_db: None) -> Iterator[None]:
    """Nobody wants events of jobs any more, after the test."""
    yield
    statements.on(connection).tell_of_jobs(connection, [])
    BridgedMessage.objects.all().delete()


def outbox() -> Outbox:
    """One that leads."""
    Leader.objects.all().delete()
    leadership = Leadership()
    assert leadership.hold()
    return Outbox(leadership)


def taken(channel: Any, queue: str = "told") -> list[tuple[Any, dict[str, Any]]]:
    """All that is in a queue: properties and event."""
    found: list[tuple[Any, dict[str, Any]]] = []
    while True:
        delivery, properties, body = channel.basic_get(queue, auto_ack=True)
        if delivery is None:
            return found
        found.append((properties, json.loads(body)))


def consumed(channel: Any, queue: str) -> bool:
    """Whether a queue is there, and somebody reads it."""
    try:
        with channel.connection.channel() as asking:
            return bool(asking.queue_declare(queue, passive=True).method.consumer_count)
    except ChannelClosedByBroker:
        return False


def heard(subscriber: Subscriber, messages: int) -> None:
    """Let it take so many messages of its queue, in this process."""
    bridges = Bridges([subscriber.bridge])
    try:
        while messages > 0:
            arrived = bridges._inbox.poll(30.0, 200)
            assert arrived, f"{messages} messages have not arrived"
            bridges.take(arrived)
            bridges._inbox.acknowledge(arrived)
            messages -= len(arrived)
    finally:
        bridges._inbox.close()
