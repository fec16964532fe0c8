"""Celery's remote control commands that choose a worker's queues."""

from collections.abc import Iterator
from typing import Any

import amqp
import pytest
from celery.app.amqp import Queues
from config.celery import app
from furrow import submit
from furrow.models import Trouble
from furrow.worker.celery.consumed import Refused
from kombu import Connection, Exchange, Queue

from tests import kinds, services
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine
WORKER = ["worker@test"]


@pytest.fixture
def link() -> Iterator[Any]:
    """A connection to RabbitMQ."""
    with Connection(services.broker.url) as link:
        yield link


def consumed(link: Any) -> set[str]:
    """The queues that the worker consumes, as it says."""
    answers = app.control.inspect(destination=WORKER, connection=link, timeout=10).active_queues() or {}
    return {queue["name"] for queues in answers.values() for queue in queues}


def test_a_queue_that_is_declared_otherwise_is_refused_in_the_reply_and_others_are_served(stack: Stack, link: Any) -> None:
    channel, before = link.channel(), len(stack.worker_process.text)
    channel.queue_declare("otherwise", durable=False, auto_delete=True)
    (answer,) = app.control.add_consumer("otherwise", destination=WORKER, reply=True, timeout=10, connection=link)
    assert "queue otherwise is not consumed: RabbitMQ has it" in answer["worker@test"]["error"]
    assert "otherwise" not in consumed(link)
    submit(kinds.add, {"a": 1})
    all_ended(30)
    (answer,) = app.control.add_consumer("another", destination=WORKER, reply=True, timeout=10, connection=link)
    assert answer["worker@test"] == {"ok": "add consumer another"}
    wait_until(lambda: "another" in consumed(link))
    app.control.cancel_consumer("another", destination=WORKER, reply=True, timeout=10, connection=link)
    channel.queue_delete("another")
    channel.queue_delete("otherwise")
    assert "Connection to broker lost" not in stack.worker_process.text[before:]


def test_a_queue_that_another_consumes_alone_is_refused_in_the_reply_and_others_are_served(stack: Stack, link: Any) -> None:
    before = len(stack.worker_process.text)
    with link.channel() as channel:
        Queue("alone", exchange=Exchange("alone"), routing_key="alone")(channel).declare()
        channel.basic_consume("alone", exclusive=True)
        for arguments, text in ({}, "exclusive use"), ({"consumer_arguments": {"x-priority": "high"}}, "invalid arg"):
            (answer,) = app.control.add_consumer(
                "alone", destination=WORKER, reply=True, timeout=10, connection=link, options=arguments
            )
            assert "queue alone is not consumed: RabbitMQ does not let it be consumed" in answer["worker@test"]["error"]
            assert text in answer["worker@test"]["error"]
        submit(kinds.add, {"a": 1})
        all_ended(30)
        channel.queue_delete("alone")
    assert "Connection to broker lost" not in stack.worker_process.text[before:]


def test_a_job_submitted_while_its_queue_was_not_consumed_runs_once_it_is_again(stack: Stack, link: Any) -> None:
    app.control.cancel_consumer("default", destination=WORKER, reply=True, timeout=10, connection=link)
    wait_until(lambda: "default" not in consumed(link))
    job = submit(kinds.add, {"a": 1})
    wait_until(lambda: (job.refresh_from_db(), job.state)[1] == "queued")
    app.control.add_consumer("default", destination=WORKER, reply=True, timeout=10, connection=link)
    all_ended(10)


def test_a_cancel_and_an_add_at_once_leave_the_queue_consumed(stack: Stack, link: Any) -> None:
    for _ in range(5):
        app.control.cancel_consumer("default", destination=WORKER, connection=link)
        app.control.add_consumer("default", destination=WORKER, connection=link)
    wait_until(lambda: "default" in consumed(link))
    submit(kinds.add, {"a": 1})
    all_ended(10)


def test_a_pattern_that_takes_years_is_left_out_and_the_worker_goes_on(stack: Stack, link: Any) -> None:
    def asked(pattern: str) -> Any:
        return app.control.broadcast("ping", pattern=pattern, matcher="pcre", reply=True, limit=1, timeout=20, connection=link)

    assert asked(r"^worker@")
    years = "(" * 8 + ".+" + ")+" * 8 + "!"
    app.control.mailbox(link)._publish("ping", {}, pattern=years, matcher="pcre")
    assert asked(r"^worker@")  # after it
    assert f"its pattern '{years}' takes too long" in stack.worker_process.text


@pytest.mark.parametrize("exchange", ["gone.pidbox", "amq.nothing", "furrow", ""])
def test_a_reply_that_cannot_be_sent_costs_nothing(stack: Stack, link: Any, exchange: str) -> None:
    box, channel, before = app.control.mailbox(link), link.channel(), len(stack.worker_process.text)
    body = {"method": "ping", "arguments": {}, "destination": WORKER, "ticket": "x"}
    body["reply_to"] = {"exchange": exchange, "routing_key": "nobody"}
    for _ in range(2):  # the second time the exchange is gone, which Celery believes to be there
        link.Producer(channel).publish(body, exchange=box.exchange.name, serializer="json")
        assert app.control.ping(destination=WORKER, timeout=20, connection=link)
        channel.exchange_delete("gone.pidbox")
    log = stack.worker_process.text[before:]
    assert "Connection to broker lost" not in log
    assert "Error in event loop" not in log


@pytest.mark.thorough
def test_a_worker_serves_its_other_queues_and_names_the_one_that_is_declared_otherwise(bare: Stack, link: Any) -> None:
    with link.channel() as channel:
        channel.queue_declare("otherwise", durable=True, auto_delete=False)
    worker = bare.worker(FURROW_QUEUES="default,other,otherwise")
    wait_until(lambda: consumed(link) == {"default", "other", "celery"})
    wait_until(lambda: Trouble.objects.filter(text__contains="does not consume otherwise").exists())
    with link.channel() as channel:
        channel.queue_delete("otherwise")
    wait_until(lambda: "otherwise" in consumed(link))
    assert "Connection to broker lost" not in worker.text
    worker.stop()
    with link.channel() as channel:
        channel.queue_delete("otherwise")


def test_after_a_queue_closed_the_channel_of_all_it_is_found_and_left_out_until_it_may_be_consumed(link: Any) -> None:
    named = Queues([Queue(name, Exchange(name), routing_key=name) for name in ("alone", "free")])
    refused = Refused("w@here", named)
    with link.channel() as channel, Connection(services.broker.url) as other:
        refused.leave_out(other)  # declares them
        channel.basic_consume("alone", exclusive=True)
        refused.leave_out(other)
        assert named.consume_from.keys() == {"alone", "free"}
        refused.doubt(amqp.AccessRefused("queue 'alone' in exclusive use"))
        refused.leave_out(other)
        assert named.consume_from.keys() == {"free"}
        channel.basic_publish(amqp.Message("kept"), routing_key="alone")
        channel.close()
        refused._next = 0.0
        refused.look_again(other)
        assert named.consume_from.keys() == {"alone", "free"}
        with link.channel() as another:
            wait_until(lambda: another.basic_get("alone", no_ack=True), what="what was tried with is there")
            for name in ("alone", "free"):
                another.queue_delete(name)
                another.exchange_delete(name)
