"""The publisher against RabbitMQ: what arrives, and what it is told of what does not."""

import uuid
from collections.abc import Iterator

import pytest
from amqp.exceptions import RecoverableConnectionError
from config.celery import app
from furrow.rabbitmq.broker import Publisher
from furrow.worker.intake.transport import signal_safe

from tests import services

QUEUE = "broker-test"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher(services.broker.url)
    yield publisher
    publisher._open(QUEUE).queue_delete(QUEUE)
    publisher.close()


def test_a_batch_arrives_in_order_with_ids_and_kinds(publisher: Publisher) -> None:
    jobs = [(uuid.uuid4(), f"module.function_{number % 3}") for number in range(300)]
    assert publisher.publish(QUEUE, jobs) == [id for id, _ in jobs]
    assert publisher.depth(QUEUE) == 300
    got = [publisher._channel.basic_get(QUEUE, no_ack=True) for _ in jobs]
    assert [(message.properties["message_id"], message.properties["type"]) for message in got] == [
        (str(id), kind) for id, kind in jobs
    ]
    assert all(message.properties["delivery_mode"] == 2 for message in got)


def test_what_no_queue_takes_is_not_confirmed_and_the_queue_is_declared_again(publisher: Publisher) -> None:
    jobs = [(uuid.uuid4(), "module.function") for _ in range(10)]
    assert len(publisher.publish(QUEUE, jobs)) == 10
    publisher._channel.queue_delete(QUEUE)
    assert publisher.publish(QUEUE, jobs) == []
    assert len(publisher.publish(QUEUE, jobs)) == 10


def test_a_kind_that_is_longer_than_amqp_allows_holds_nothing_up(publisher: Publisher) -> None:
    """A row that another program inserted."""
    assert len(publisher.publish(QUEUE, [(uuid.uuid4(), "ü" * 200), (uuid.uuid4(), "module.function")])) == 2


@pytest.mark.timeout(60)
def test_what_interrupts_a_write_may_not_write_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """py-amqp's lock of that write would never be free: Celery's handler of a cold shutdown waited for it for ever."""
    with signal_safe(app.connection_for_read()) as connection:
        channel, transport = connection.channel(), connection.connection.transport
        write, interrupted = transport._write, []

        def write_interrupted(frame: bytes) -> None:
            with pytest.raises(RecoverableConnectionError, match="has interrupted"):
                channel.basic_cancel("its consumer")
            interrupted.append(bytes(frame))
            write(frame)

        monkeypatch.setattr(transport, "_write", write_interrupted)
        connection.connection.send_heartbeat()
        monkeypatch.undo()
        assert interrupted == [b"\x08\0\0\0\0\0\0\xce"]
        assert channel.basic_cancel("its consumer") == "its consumer"
