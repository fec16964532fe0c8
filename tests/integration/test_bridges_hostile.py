"""Bridges: queues and messages that their programs fill, delete and make as they like."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import amqp
import pika
import pytest
from amqp import abstract_channel, serialization
from furrow import Job
from furrow.bridge import Bridge
from furrow.bridges.process import Bridges
from furrow.models import DeadMessage
from furrow.worker.intake import readable
from kombu import Connection

from tests import services
from tests.bridges import read, stranger
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

TEXTS = Bridge("bridged", "kinds.takes_text")
HEADERS = Bridge("bridged", "kinds.takes_text_and_headers", headers="headers")


@pytest.fixture
def publisher() -> Iterator[Any]:
    with stranger("bridged") as channel:
        channel.queue_declare("bridged", durable=True)
        yield channel


def publish(channel: Any, body: bytes = b"x", **properties: Any) -> None:
    channel.basic_publish("", "bridged", body, pika.BasicProperties(**properties))


def ready(channel: Any) -> int:
    """Messages that nobody holds."""
    return int(channel.queue_declare("bridged", passive=True).method.message_count)


def test_a_full_queue_is_read_by_prefetch(publisher: Any) -> None:
    for _ in range(100):
        publish(publisher)
    wait_until(lambda: ready(publisher) == 100)
    bridges = Bridges([Bridge("bridged", "kinds.takes_text", prefetch=10)])
    held = bridges._inbox.poll(10.0, 100)
    while len(held) < 10:
        held += bridges._inbox.poll(10.0, 100)
    assert bridges._inbox.poll(0.2, 100) == []
    assert ready(publisher) == 90
    bridges._close()
    assert len(held) == 10


def test_a_queue_that_is_deleted_while_read(publisher: Any) -> None:
    """What was read is a job; the queue is declared anew, and read."""
    publish(publisher, b"before")
    bridges = Bridges([TEXTS])
    held = bridges._inbox.poll(10.0, 1)
    publisher.queue_delete("bridged")
    wait_until(lambda: bridges._inbox.poll(0.1, 1) or bridges._inbox.refused.get(TEXTS) == "it was deleted")
    bridges.take(held)
    bridges._inbox.acknowledge(held)
    bridges._inbox._next_try[TEXTS] = 0.0
    bridges._inbox.poll(0.1, 1)
    assert bridges._inbox.refused == {}
    publish(publisher, b"after")
    bridges.take(bridges._inbox.poll(10.0, 1))
    bridges._close()
    assert [job.arguments["text"] for job in Job.objects.order_by("pk")] == ["before", "after"]


def test_a_body_that_is_too_large_is_kept_with_its_beginning(publisher: Any) -> None:
    publish(publisher, b"x" * 5_000_000)
    publish(publisher, b"small")
    read(TEXTS, 2)
    kept = DeadMessage.objects.get()
    assert "the limit is 1,048,576" in kept.reason
    assert (kept.size, len(kept.body), kept.replayable) == (5_000_000, 256 * 1024, False)
    assert Job.objects.count() == 1


def test_headers_with_everything_are_json(publisher: Any) -> None:
    headers = {
        "table": {"within": {"a": [1, True, None, "x"]}},
        "time": dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC),
        "bytes": b"Gr\xc3\xbc\xff",
        "decimal": Decimal("1.5"),
        "large": 2**40,
        "float": 0.5,
    }
    with Connection(services.broker.url) as link:  # pika writes no bytes
        link.channel().basic_publish(amqp.Message("x", application_headers=headers), "", "bridged")
    read(HEADERS, 1)
    found = Job.objects.get().arguments["headers"]
    assert found["table"] == {"within": {"a": [1, True, None, "x"]}}
    assert found["time"].startswith("2026-02-01T12:00:00")
    assert found["bytes"] == "Grü\\xff"
    assert (found["decimal"], found["large"], found["float"]) == ("1.5", 2**40, 0.5)


@pytest.mark.parametrize(("levels", "reason"), [(150, "nested deeper than 100 levels"), (450, "")])
def test_headers_that_are_nested_too_deep_are_kept(
    publisher: Any, monkeypatch: pytest.MonkeyPatch, levels: int, reason: str
) -> None:
    monkeypatch.setitem(serialization.PROPERTY_CLASSES, 60, readable.properties)
    monkeypatch.setattr(abstract_channel, "loads", readable.arguments)
    deep: Any = 1
    for _ in range(levels):
        deep = {"a": deep}
    publish(publisher, headers={"deep": deep})
    publish(publisher, b"good", headers={})
    read(HEADERS, 2)
    assert reason in DeadMessage.objects.get().reason
    assert [job.arguments["text"] for job in Job.objects.all()] == ["good"]


def test_a_priority_beyond_the_last_is_the_last(publisher: Any) -> None:
    for priority in (9, 10, 255):
        publish(publisher, priority=priority)
    read(TEXTS, 3)
    assert [job.priority for job in Job.objects.all()] == [0, 0, 0]


def test_what_has_expired_on_its_way_is_kept(publisher: Any) -> None:
    """RabbitMQ gives a message whose time is over at once only to who waits for one."""
    bridges = Bridges([TEXTS])
    bridges._inbox.poll(0.1, 1)
    publish(publisher, expiration="0")
    bridges.take(bridges._inbox.poll(10.0, 1))
    bridges._close()
    assert "expires" in DeadMessage.objects.get().reason
    assert not Job.objects.exists()
