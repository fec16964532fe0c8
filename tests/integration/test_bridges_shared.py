"""Several bridges of one queue: at once, one after the other, and of streams."""

import threading
from collections.abc import Iterator
from typing import Any

import amqp
import pika
import pytest
from django.db import connection
from django.db.transaction import set_rollback
from furrow import Job
from furrow.bridge import Bridge
from furrow.bridges.process import Bridges
from furrow.models import BridgedMessage, StreamPlace
from furrow.models.database import alias, atomic

from tests.bridges import read, stranger
from tests.stack import wait_until

pytestmark = pytest.mark.engine

TEXTS = Bridge("bridged", "kinds.takes_text")
IN_LINE = Bridge("bridged", "kinds.takes_text", single_active=True)
STREAM = Bridge("streamed", "kinds.takes_text", type="stream")


@pytest.fixture
def publisher() -> Iterator[Any]:
    with stranger("bridged", "streamed") as channel:
        yield channel


def publish(channel: Any, queue: str, *texts: str, **properties: Any) -> None:
    for text in texts:
        channel.basic_publish("", queue, text.encode(), pika.BasicProperties(**properties))


def texts() -> list[str]:
    """Of all jobs, in the order of their ids."""
    return [job.arguments["text"] for job in Job.objects.order_by("pk")]


def arrived(bridges: Bridges, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        came = bridges._inbox.poll(10.0, 100)
        assert came, f"{count - len(found)} messages have not arrived"
        found += came
    return found


def someone_waits() -> bool:
    """For a row that another transaction has written. SQLite has one writer at a time, and tells nobody who waits."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("commits", [True, False])
def test_two_bridges_with_one_message_at_once_make_one_job(live_db: None, publisher: Any, commits: bool) -> None:
    """The first has written the job and loses its connection to RabbitMQ; the message goes to the second, which writes too."""
    publisher.queue_declare("bridged", durable=True)
    publish(publisher, "bridged", "same", message_id="m1")
    first, second = Bridges([TEXTS]), Bridges([TEXTS])

    def take_again() -> None:
        try:
            again = arrived(second, 1)
            came.set()
            second.take(again)
            second._inbox.acknowledge(again)
        finally:
            second._close()
            connection.close()

    came, thread = threading.Event(), threading.Thread(target=take_again)
    with atomic():
        first._take(arrived(first, 1))
        first._close()
        thread.start()
        assert came.wait(30)
        wait_until(someone_waits)
        set_rollback(not commits, using=alias())
    thread.join(30)
    assert not thread.is_alive()
    assert texts() == ["same"]
    assert BridgedMessage.objects.get().job == Job.objects.get().pk
    assert publisher.queue_declare("bridged", passive=True).method.message_count == 0


@pytest.mark.django_db
def test_with_single_active_one_reads_and_the_next_follows_in_order(publisher: Any) -> None:
    publisher.queue_declare("bridged", durable=True, arguments={"x-single-active-consumer": True})
    first, second = Bridges([IN_LINE]), Bridges([IN_LINE])
    publish(publisher, "bridged", *"abc")
    before = arrived(first, 3)
    assert second._inbox.poll(0.5, 100) == []
    publish(publisher, "bridged", *"def", expiration="600000")
    publish(publisher, "bridged", "g")
    first.take(before)
    first._inbox.acknowledge(before)
    first._close()
    second.take(arrived(second, 4))
    second._close()
    assert texts() == list("abcdefg")


@pytest.mark.django_db
def test_who_pauses_hands_over_in_order_what_it_had_not_read(publisher: Any) -> None:
    """Messages that were on their way to it, too."""
    publisher.queue_declare("bridged", durable=True, arguments={"x-single-active-consumer": True})
    first, second = Bridges([IN_LINE]), Bridges([IN_LINE])
    publish(publisher, "bridged", *"abcd")
    held = first._inbox.poll(10.0, 1)
    first.take(held)
    first._inbox.acknowledge(held)
    first._inbox.paused.add(IN_LINE)
    assert first._inbox.poll(0.1, 100) == []
    second.take(arrived(second, 3))
    for bridges in (first, second):
        bridges._close()
    assert texts() == list("abcd")


@pytest.mark.django_db
def test_a_channel_that_rabbitmq_closes_brings_no_message_twice(publisher: Any) -> None:
    """What it brought comes again on the next one; without ids nothing would tell."""
    publisher.queue_declare("bridged", durable=True)
    publish(publisher, "bridged", *"ab")
    bridges = Bridges([TEXTS])
    came = arrived(bridges, 2)
    bridges._inbox._arrived = came[1:]
    came[0].message.channel.basic_ack(99)  # an unknown tag: RabbitMQ closes the channel
    with pytest.raises(amqp.PreconditionFailed) as closed:
        bridges._inbox._connection.drain_events(timeout=30)
    bridges._inbox._lost(closed.value)
    bridges._inbox._next_try[TEXTS] = 0.0
    bridges.take(arrived(bridges, 2))
    bridges._close()
    assert texts() == ["a", "b"]


@pytest.mark.django_db
def test_a_stream_is_read_on_from_where_it_was(publisher: Any) -> None:
    read_once = Bridges([STREAM])
    read_once._inbox.poll(0.1, 1)
    publish(publisher, "streamed", *"abc")
    came = arrived(read_once, 3)
    read_once.take(came)
    read_once.take(came)  # as after a crash: they come again
    read_once._close()
    assert texts() == list("abc")
    publish(publisher, "streamed", *"de")
    read(STREAM, 2)
    assert texts() == list("abcde")
    assert StreamPlace.objects.get().next_offset == 5


@pytest.mark.django_db
def test_two_bridges_of_a_stream_make_one_job_of_each_message(publisher: Any) -> None:
    both = [Bridges([STREAM]), Bridges([STREAM])]
    for bridges in both:
        bridges._inbox.poll(0.1, 1)
    publish(publisher, "streamed", *"abc")
    came = [arrived(bridges, 3) for bridges in both]
    for bridges, messages in zip(both, came, strict=True):
        bridges.take(messages[:2])
    for bridges, messages in zip(both, came, strict=True):
        bridges.take(messages[2:])
        bridges._close()
    assert texts() == list("abc")


@pytest.mark.django_db
def test_what_of_a_stream_is_no_job_is_passed_by(publisher: Any) -> None:
    bridge = Bridge("streamed", "kinds.add", type="stream", start="last")
    bridges = Bridges([bridge])
    bridges._inbox.poll(0.1, 1)
    publish(publisher, "streamed", "1", '{"a": "x"}', '{"a": 1}')
    bridges.take(arrived(bridges, 3))
    bridges._close()
    assert StreamPlace.objects.get().next_offset == 3
    assert [job.arguments["a"] for job in Job.objects.all()] == [1]
