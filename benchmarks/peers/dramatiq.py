"""Dramatiq on RabbitMQ. Records nothing; nobody can say which messages ran or wait, but for dead letters kept for a week.

It acknowledges after a message was processed, so a dead worker's messages are delivered again. Its queues are durable classic
ones (it has no quorum queues by itself), published to without confirms, its default: RabbitMQ may lose the newest in a crash.
"""

import os
import time
from contextlib import suppress
from typing import Any

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.rabbitmq import RabbitmqBroker  # type: ignore[import-not-found]

from benchmarks.client import Client
from benchmarks.counter import count

QUEUE = os.environ["BENCH_QUEUE"]
broker = RabbitmqBroker(url=os.environ["BROKER_URL"].replace("//", "/%2f").replace("amqp:/%2f", "amqp://"))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=QUEUE)  # type: ignore[untyped-decorator]
def noop(work: int) -> None:
    """Count, after so many milliseconds."""
    count(work)


class Dramatiq(Client):
    """Sends messages."""

    def reset(self) -> None:
        with suppress(Exception):  # RabbitMQ has hung up: nobody answered its heartbeats between the trials
            del broker.connection
        broker.declare_queue(QUEUE, ensure=True)
        broker.flush(QUEUE)

    def submit_one(self, work: int) -> Any:
        noop.send(work)

    def load(self, n: int) -> None:
        while broker.get_queue_message_counts(QUEUE)[0] < n:
            time.sleep(0.05)


def client() -> Client:
    """For :mod:`benchmarks.client`."""
    return Dramatiq()
