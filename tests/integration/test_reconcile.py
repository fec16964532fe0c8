"""Lost messages are found, also while RabbitMQ holds others of the queue. The messages are real; nobody consumes."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone
from furrow.diagnosis import troubles
from furrow.dispatcher.reconcile import Reconcile
from furrow.models import Job
from furrow.models.job import new_id
from furrow.rabbitmq.broker import Publisher
from furrow.states import State
from kombu import Connection

from tests import services
from tests.rows import make, state_of

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]
HOURS = dt.timedelta(hours=5)
QUEUE = "other"


@pytest.fixture
def send() -> Iterator[Callable[..., object]]:
    """Puts messages of these jobs into the queue, which was empty."""
    publisher = Publisher(services.broker.url)
    with Connection(services.broker.url) as link, link.channel() as channel:
        publisher.depth(QUEUE)
        channel.queue_purge(QUEUE)
        yield lambda *ids: publisher.publish(QUEUE, [(id, "kinds.add") for id in ids])
        channel.queue_purge(QUEUE)
    publisher.close()


@pytest.fixture
def look() -> Iterator[Callable[[], int]]:
    """Reconciles the queue; how many jobs went back to pending."""
    publisher = Publisher(services.broker.url)
    yield lambda: Reconcile(publisher, [])._queue(QUEUE)[1]
    publisher.close()


def queued(many: int, ago: dt.timedelta = dt.timedelta(0)) -> list[Job]:
    """Jobs that were sent so long ago."""
    return [make(State.QUEUED, queue=QUEUE, queued_at=timezone.now() - ago) for _ in range(many)]


def test_a_lost_message_is_found_while_the_queue_holds_those_of_other_jobs(
    send: Callable[..., object], look: Callable[[], int]
) -> None:
    lost, others = queued(10, HOURS), queued(40)
    send(*[job.pk for job in others])
    assert look() == 10
    assert {state_of(job) for job in lost} == {State.PENDING}
    assert {state_of(job) for job in others} == {State.QUEUED}


def test_a_lost_message_is_found_behind_more_messages_than_jobs(send: Callable[..., object], look: Callable[[], int]) -> None:
    lost, just_sent = queued(2, HOURS), queued(1)
    send(*[new_id() for _ in range(50)])
    assert look() == 0, "they may be among these messages"
    make(State.RUNNING, queue=QUEUE, queued_at=timezone.now() - HOURS)
    assert look() == 0, "what runs was sent as early as they were"
    make(State.RUNNING, queue=QUEUE, queued_at=timezone.now())
    assert look() == 2
    assert [state_of(job) for job in (*lost, *just_sent)] == [State.PENDING, State.PENDING, State.QUEUED]


def test_what_waits_for_busy_workers_is_not_sent_again(send: Callable[..., object], look: Callable[[], int]) -> None:
    send(*[job.pk for job in queued(20, HOURS)])
    make(State.RUNNING, queue=QUEUE, queued_at=timezone.now() - 2 * HOURS)
    assert look() == 0


def test_a_queue_that_workers_of_another_database_consume_is_told_of(
    look: Callable[[], int], send: Callable[..., object]
) -> None:
    """They took the message, and have no such job."""
    queued(1, ago=HOURS)
    with Connection(services.broker.url) as link, link.channel() as channel:
        channel.basic_consume(QUEUE)
        assert look() == 1
    assert "it has 1 consumer in RabbitMQ, of which this database knows 0" in troubles._noted["sharing of a queue"].text
    troubles._forget()


def test_a_lost_message_alone_tells_of_no_other_database(look: Callable[[], int], send: Callable[..., object]) -> None:
    queued(1, ago=HOURS)
    assert look() == 1
    assert "sharing of a queue" not in troubles._noted
