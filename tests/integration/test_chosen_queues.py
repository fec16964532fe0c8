"""Which queues a worker consumes: commands in their order, pauses, busy processes, queues that RabbitMQ refuses.

The parts of a worker, on a connection of the test's."""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker.control import Panel
from furrow.diagnosis import troubles
from furrow.rabbitmq.queues import job_queue
from furrow.worker.celery import consumed
from furrow.worker.celery.consumer import JobConsumer
from furrow.worker.intake.intake import Intake
from kombu import Connection

from tests import services

Later = list[Callable[[], Any]]


@pytest.fixture
def link() -> Iterator[Any]:
    """A connection to RabbitMQ."""
    with Connection(services.broker.url) as link:
        yield link
    with Connection(services.broker.url) as another, another.channel() as channel:
        for name in ("default", "chosen.one"):
            channel.queue_delete(name)


@pytest.fixture
def later() -> Later:
    """What the event loop has to call, in some order."""
    return []


@pytest.fixture
def consumer(link: Any, later: Later) -> Any:
    """A worker's, of the queue ``default``."""
    consumed.install()
    app = Celery("chosen", broker=services.broker.url, set_as_current=False)
    app.conf.task_queues = [job_queue("default")]
    app.conf.task_create_missing_queues = False
    lease = SimpleNamespace(node="one@test")
    supervisor: Any = SimpleNamespace(
        paused=set(),
        capacity=SimpleNamespace(blocked=False, messages=lambda: 4),
        ledger=SimpleNamespace(keep=lambda *_: None, lease=lease),
    )

    def soon(function: Any, *arguments: Any) -> None:
        later.append(partial(function, *arguments))

    of_the_worker: Any = SimpleNamespace(
        app=app,
        connection=link,
        task_consumer=app.amqp.TaskConsumer(link),
        call_soon=soon,
        refused=SimpleNamespace(forget=lambda name: None),
        controller=SimpleNamespace(jobs=SimpleNamespace(intake=Intake(None, supervisor))),
    )
    for name in ("add_task_queue", "cancel_task_queue"):
        setattr(of_the_worker, name, partial(getattr(JobConsumer, name), of_the_worker))
    of_the_worker.task_consumer.consume()
    return of_the_worker


def tell(consumer: Any, command: str, queue: str) -> dict[str, str]:
    """The command's answer."""
    return dict(Panel.data[command](SimpleNamespace(consumer=consumer), queue))


def chosen(consumer: Any) -> set[str]:
    """The queues consumed after the next look."""
    consumer.controller.jobs.intake.look(consumer)
    return {queue.name for queue in consumer.task_consumer.queues if consumer.task_consumer.consuming_from(queue.name)}


def test_the_last_command_holds_in_whatever_order_the_event_loop_calls(consumer: Any, later: Later) -> None:
    tell(consumer, "cancel_consumer", "default")
    tell(consumer, "add_consumer", "default")
    for call in reversed(later):
        call()
    assert chosen(consumer) == {"default"}
    later.clear()
    tell(consumer, "add_consumer", "default")
    tell(consumer, "cancel_consumer", "default")
    for call in reversed(later):
        call()
    assert chosen(consumer) == set()


def test_what_was_commanded_is_not_lost_with_the_connection(consumer: Any, later: Later) -> None:
    tell(consumer, "cancel_consumer", "default")
    tell(consumer, "add_consumer", "chosen.one")
    assert consumer.app.amqp.queues.consume_from.keys() == {"chosen.one"}  # what the next connection begins with


def test_a_queue_that_is_cancelled_while_it_is_paused_or_every_process_is_busy_is_not_consumed_afterwards(
    consumer: Any, later: Later
) -> None:
    supervisor = consumer.controller.jobs.intake.supervisor
    supervisor.paused.add("default")
    assert chosen(consumer) == set()
    tell(consumer, "cancel_consumer", "default")
    supervisor.paused.clear()
    assert chosen(consumer) == set()
    tell(consumer, "add_consumer", "default")
    supervisor.capacity.blocked = True
    assert chosen(consumer) == set()
    tell(consumer, "cancel_consumer", "default")
    supervisor.capacity.blocked = False
    assert chosen(consumer) == set()


def test_a_queue_that_is_added_while_it_is_paused_or_every_process_is_busy_is_consumed_afterwards(
    consumer: Any, later: Later
) -> None:
    supervisor = consumer.controller.jobs.intake.supervisor
    tell(consumer, "cancel_consumer", "default")
    supervisor.capacity.blocked = True
    tell(consumer, "add_consumer", "default")
    assert chosen(consumer) == set()
    supervisor.capacity.blocked, supervisor.paused = False, {"default"}
    assert chosen(consumer) == set()
    supervisor.paused = set()
    assert chosen(consumer) == {"default"}


@pytest.mark.parametrize("options", [{"exchange_type": "nonsense"}, {"queue_arguments": {"x-queue-type": "nonsense"}}])
def test_a_command_that_rabbitmq_refuses_leaves_the_workers_connection_alone(
    consumer: Any, link: Any, options: dict[str, Any]
) -> None:
    answer = Panel.data["add_consumer"](SimpleNamespace(consumer=consumer), "chosen.one", **options)
    assert "queue chosen.one is not consumed" in answer["error"]
    assert tell(consumer, "add_consumer", "") == {"error": "queue must be a name"}
    link.heartbeat_check()
    assert link.connection.connected
    assert chosen(consumer) == {"default"}


def test_a_queue_of_the_settings_that_rabbitmq_has_otherwise_is_left_out_and_looked_for(
    consumer: Any, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(troubles, "note", lambda name, text, remedy: noted.append(text))
    monkeypatch.setattr(consumed, "AGAIN", 0.0)
    queues = consumer.app.amqp.queues
    with link.channel() as channel:
        channel.queue_declare("chosen.one", durable=True, auto_delete=False)
    queues.select_add(job_queue("chosen.one"))
    refused = consumed.Refused("one@test", queues)
    refused.leave_out(link)
    assert queues.consume_from.keys() == {"default"}
    assert "Worker one@test does not consume chosen.one: RabbitMQ has it, or its exchange, otherwise" in noted[-1]
    queues.deselect("default")
    refused.look_again(link)
    assert "chosen.one and so no queue at all" in noted[-1]
    with link.channel() as channel:
        channel.queue_delete("chosen.one")
    refused.look_again(link)
    assert queues.consume_from.keys() == {"chosen.one"}
    assert len(noted) == 2
