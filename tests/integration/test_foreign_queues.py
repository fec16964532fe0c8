"""Queues and exchanges in RabbitMQ that Furrow did not make: named, left alone, and no hindrance for the other queues."""

import datetime as dt
from collections.abc import Iterator

import pytest
from django.utils import timezone
from furrow.dispatcher.process import Dispatcher
from furrow.errors import QueueRefused
from furrow.models import Leader
from furrow.models.job import new_id
from furrow.monitoring import stores
from furrow.partitions import Queue
from furrow.rabbitmq import topology
from furrow.rabbitmq.broker import STUCK_AFTER, Publisher
from furrow.states import State
from kombu import Connection

from tests import services
from tests.rows import lead, make, state_of

NAMES = ("default", "other", "foreign.00", "foreign.01", "foreign.02", "foreign")


@pytest.fixture
def link() -> Iterator[Connection]:
    """A connection of somebody else's."""
    with Connection(services.broker.url) as link:
        _clean(link)
        yield link
        _clean(link)


def _clean(link: Connection) -> None:
    with link.channel() as channel:
        for name in NAMES:
            channel.queue_delete(name)
        channel.exchange_delete("furrow.foreign")


def theirs(link: Connection, name: str) -> None:
    """A classic queue with a message, of another application."""
    with link.channel() as channel:
        channel.queue_declare(name, durable=True, auto_delete=False)
        link.Producer(channel).publish("theirs", routing_key=name, delivery_mode=2)
        while channel.queue_declare(name, passive=True).message_count < 1:
            pass


def messages(link: Connection, name: str) -> int:
    """How many messages the queue holds."""
    with link.channel() as channel:
        return int(channel.queue_declare(name, passive=True).message_count)


def test_somebody_elses_queue_is_never_deleted(link: Connection) -> None:
    theirs(link, "foreign")
    publisher = Publisher(services.broker.url)
    for _ in range(STUCK_AFTER + 2):
        with pytest.raises(QueueRefused, match=r"refuses foreign .*does not touch.*FURROW"):
            publisher.publish("foreign", [(new_id(), "kinds.add")])
    assert messages(link, "foreign") == 1
    publisher.close()


def test_the_other_queues_are_served_and_the_trouble_is_named(link: Connection, db: None) -> None:
    theirs(link, "default")
    barred, served = make(queue="default"), make(queue="other")
    stale = make(State.QUEUED, queue="default", queued_at=timezone.now() - dt.timedelta(minutes=5))
    dispatcher = Dispatcher()
    dispatcher.leadership.term = lead(dispatcher.leadership.holder)
    dispatcher._step()
    assert (state_of(served), state_of(barred), state_of(stale)) == (State.QUEUED, State.PENDING, State.QUEUED)
    assert "RabbitMQ refuses default" in Leader.objects.get().trouble
    assert messages(link, "default") == 1
    assert stores.rabbitmq() == ""
    dispatcher._publisher.close()


def test_a_surplus_partition_that_is_not_ours_stays(link: Connection) -> None:
    queue = Queue("foreign", partitions=2, key="a")
    theirs(link, "foreign.02")
    with link.channel() as channel:
        for name in queue.parts:
            topology.partition(name)(channel).declare()
        topology.lay(link, channel, queue)
    assert messages(link, "foreign.02") == 1


def test_an_exchange_that_is_not_ours_stays(link: Connection) -> None:
    with link.channel() as channel:
        channel.exchange_declare("furrow.foreign", "fanout", durable=True, auto_delete=False)
    with pytest.raises(QueueRefused, match=r"furrow\.foreign"):
        topology.lay(link, link.channel(), Queue("foreign", partitions=2, key="a"))
    with link.channel() as channel:
        channel.exchange_declare("furrow.foreign", "fanout", durable=True, auto_delete=False)  # it is there as before
