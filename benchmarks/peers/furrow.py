"""Furrow itself. Records every job, every attempt with times and outcome, the result, logs and progress, and tells Flower.

Loses nothing: a committed job survives the death of any process, of RabbitMQ and of Redis.
"""

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from furrow import Job, submit, submit_many  # noqa: E402
from furrow.rabbitmq.broker import Publisher  # noqa: E402
from furrow.rabbitmq.queues import job_queue  # noqa: E402

from benchmarks.client import Client  # noqa: E402
from benchmarks.peers.furrow_kinds import noop  # noqa: E402

#: Jobs in one transaction of a bulk submit.
BATCH = 500


class Furrow(Client):
    """Submits through the public functions."""

    def prepare(self) -> None:
        call_command("migrate", verbosity=0)

    def reset(self) -> None:
        from kombu import Connection

        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE furrow_job, furrow_attempt, furrow_logline, furrow_worker, furrow_leader CASCADE")
            cursor.execute("CHECKPOINT")
        with Connection(settings.BROKER_URL) as broker:
            queue = job_queue("default")(broker.channel())
            queue.delete()
            queue.declare()

    def submit_one(self, work: int) -> Any:
        return submit(noop, {"work": work}).id

    def submit_bulk(self, n: int, work: int) -> None:
        for start in range(0, n, BATCH):
            submit_many(noop, [{"work": work}] * min(BATCH, n - start))

    def load(self, n: int) -> None:
        """Hand the whole backlog to RabbitMQ, as the dispatcher does with two seconds of it: a peer's backlog is there, too."""
        publisher = Publisher(settings.BROKER_URL)
        pending = list(Job.objects.filter(state="pending").order_by("priority", "run_at").values_list("id", "kind"))
        assert len(pending) == n, f"{len(pending)} jobs are pending, not {n}"
        for start in range(0, n, BATCH):
            publisher.publish("default", pending[start : start + BATCH])
        publisher.close()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE furrow_job SET state = 'queued', queued_at = clock_timestamp() WHERE state = 'pending'")

    def recorded(self, handle: Any) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT state FROM furrow_job WHERE id = %s", [handle])
            row = cursor.fetchone()
        return bool(row and row[0] == "succeeded")

    def unrecorded(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM furrow_job WHERE finished_at IS NULL")
            row = cursor.fetchone()
        return int(row[0]) if row else 0


def client() -> Client:
    """For :mod:`benchmarks.client`."""
    return Furrow()
