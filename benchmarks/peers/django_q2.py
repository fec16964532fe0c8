"""django-q2 on PostgreSQL through Django (its ORM broker). Records each task once it has ended: times, result, success.

A row of the queue is deleted after its task was recorded; that of a dead worker runs again after ``retry``
seconds. Loses nothing that was committed.
"""

from typing import Any

from django.db import transaction

from benchmarks.counter import count
from benchmarks.peers.django_client import DjangoClient


def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work


class DjangoQ2(DjangoClient):
    """Enqueues; many in transactions of 500, since there is no call for many."""

    tables = "django_q_ormq, django_q_task"

    def submit_one(self, work: int) -> Any:
        from django_q.tasks import async_task  # type: ignore[import-not-found]

        return async_task("benchmarks.peers.django_q2.noop", work)

    def submit_bulk(self, n: int, work: int) -> None:
        for start in range(0, n, 500):
            with transaction.atomic():
                super().submit_bulk(min(500, n - start), work)

    def recorded(self, handle: Any) -> bool:
        return self.number("SELECT count(*) FROM django_q_task WHERE id = %s", handle) > 0

    def unrecorded(self) -> int:
        return self.number("SELECT count(*) FROM django_q_ormq")


def client() -> DjangoClient:
    """For :mod:`benchmarks.client`."""
    return DjangoQ2()
