"""Celery with ``ignore_result``: records nothing; nobody can say which tasks ran, failed or are waiting.

``BENCH_ACKS_LATE=0`` acknowledges before a task runs: a worker that dies loses what its processes have accepted. ``1``
acknowledges after it: RabbitMQ delivers again what a dead worker held. Either way it publishes without confirms, Celery's
default: what RabbitMQ had not written yet is lost without a word. No Django, whose fixup would cost each task something.
"""

import os

from celery import Celery

from benchmarks.counter import count
from benchmarks.peers.celery_client import CeleryClient, Row

app = Celery("bench", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ["BENCH_QUEUE"],
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=128,
    worker_disable_rate_limits=True,
    broker_heartbeat=0,
    worker_send_task_events=False,
    task_ignore_result=True,
    task_acks_late=os.environ["BENCH_ACKS_LATE"] == "1",
    task_serializer="json",
    broker_connection_retry_on_startup=True,
)


@app.task  # type: ignore[untyped-decorator]
def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work


class Nothing(Row):
    """No record."""


def client() -> CeleryClient:
    """For :mod:`benchmarks.client`."""
    return CeleryClient(app, noop, Nothing())
