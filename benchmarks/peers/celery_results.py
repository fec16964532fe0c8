"""Celery with django-celery-results as its documentation sets it up, with ``result_extended`` and ``track_started``.

Records a task once it has started, and its end. Knows nothing of tasks that wait; one that is lost on the way to the worker or
with it leaves no row, or one that says STARTED for ever. ``BENCH_DB_REUSE`` sets ``CELERY_DB_REUSE_MAX``, which keeps the
database connection for so many tasks instead of opening one for each.
"""

import os

import django

os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

from celery import Celery
from django.core.management import call_command
from django.db import connection

from benchmarks.counter import count
from benchmarks.peers.celery_client import CeleryClient, Row

app = Celery("bench", broker=os.environ["BROKER_URL"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_default_queue=os.environ["BENCH_QUEUE"],
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=16,
    worker_disable_rate_limits=True,
    broker_heartbeat=0,
    worker_send_task_events=False,
    task_serializer="json",
    broker_connection_retry_on_startup=True,
)
if reuse := int(os.environ.get("BENCH_DB_REUSE", "0")):
    app.conf["CELERY_DB_REUSE_MAX"] = reuse


@app.task  # type: ignore[untyped-decorator]
def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work


class TaskResults(Row):
    """The table of django-celery-results."""

    def prepare(self) -> None:
        django.setup()
        call_command("migrate", verbosity=0)

    def reset(self) -> None:
        django.setup()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE django_celery_results_taskresult")
            cursor.execute("CHECKPOINT")

    def recorded(self, id: str) -> bool:
        return (
            self._number("SELECT count(*) FROM django_celery_results_taskresult WHERE task_id = %s AND status = 'SUCCESS'", id)
            > 0
        )

    def count(self) -> int:
        return self._number("SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'")

    def _number(self, query: str, *values: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            row = cursor.fetchone()
        return int(row[0]) if row else 0


def client() -> CeleryClient:
    """For :mod:`benchmarks.client`."""
    return CeleryClient(app, noop, TaskResults(), records=True)
