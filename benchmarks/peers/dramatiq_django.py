"""Dramatiq on RabbitMQ with django_dramatiq, whose middleware records each message's state in PostgreSQL.

A message is sent first and recorded after that, so a crash between the two leaves one without a row. A worker may be quicker
than its sender, whose "enqueued" is then the last word of a message that is done: once it has run, anything but "running"
counts as recorded here. Otherwise as ``dramatiq``.
"""

import os
import time
from contextlib import suppress
from typing import Any

import django

django.setup()

import dramatiq  # type: ignore[import-not-found]  # noqa: E402

from benchmarks.counter import count  # noqa: E402
from benchmarks.peers.django_client import DjangoClient  # noqa: E402

QUEUE = os.environ["BENCH_QUEUE"]


@dramatiq.actor(queue_name=QUEUE)  # type: ignore[untyped-decorator]
def noop(work: int) -> None:
    """Count, after so many milliseconds."""
    count(work)


class DramatiqDjango(DjangoClient):
    """Sends messages."""

    tables = "django_dramatiq_task"

    def reset(self) -> None:
        super().reset()
        broker = dramatiq.get_broker()
        with suppress(Exception):  # RabbitMQ has hung up: nobody answered its heartbeats between the trials
            del broker.connection
        broker.declare_queue(QUEUE, ensure=True)
        broker.flush(QUEUE)

    def submit_one(self, work: int) -> Any:
        return noop.send(work).message_id

    def load(self, n: int) -> None:
        while dramatiq.get_broker().get_queue_message_counts(QUEUE)[0] < n:
            time.sleep(0.05)

    def recorded(self, handle: Any) -> bool:
        return self.number(f"SELECT count(*) FROM {self.tables} WHERE id = %s AND status <> 'running'", handle) > 0

    def unrecorded(self) -> int:
        return self.number(f"SELECT count(*) FROM {self.tables} WHERE status = 'running'")


def client() -> DjangoClient:
    """For :mod:`benchmarks.client`."""
    return DramatiqDjango()
