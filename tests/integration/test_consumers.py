"""Celery's remote control commands that choose a worker's queues."""

from collections.abc import Iterator
from typing import Any

import pytest
from config.celery import app
from kombu import Connection

from apps.jobs.api import submit
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
    channel = link.channel()
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
    assert "Connection to broker lost" not in stack.worker_process.text


def test_a_job_submitted_while_its_queue_was_not_consumed_runs_once_it_is_again(stack: Stack, link: Any) -> None:
    app.control.cancel_consumer("default", destination=WORKER, reply=True, timeout=10, connection=link)
    wait_until(lambda: "default" not in consumed(link))
    job = submit(kinds.add, {"a": 1})
    wait_until(lambda: (job.refresh_from_db(), job.state)[1] == "queued")
    app.control.add_consumer("default", destination=WORKER, reply=True, timeout=10, connection=link)
    all_ended(10)
