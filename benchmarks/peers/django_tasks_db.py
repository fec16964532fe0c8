"""django-tasks-db: the database backend of Django's tasks, on PostgreSQL. Records each task, its times, result or traceback.

Loses nothing that was committed; a task of a dead worker stays RUNNING, and nothing looks for it.
"""

from typing import Any

from django.db import transaction

from benchmarks.peers.django_client import DjangoClient


class DjangoTasksDb(DjangoClient):
    """Enqueues; many in transactions of 500, since there is no call for many."""

    tables = "django_tasks_database_dbtaskresult"

    def prepare(self) -> None:
        super().prepare()
        from benchmarks.peers.django_tasks_db_tasks import noop

        self.noop = noop

    def submit_one(self, work: int) -> Any:
        return self.noop.enqueue(work).id

    def submit_bulk(self, n: int, work: int) -> None:
        for start in range(0, n, 500):
            with transaction.atomic():
                super().submit_bulk(min(500, n - start), work)

    def recorded(self, handle: Any) -> bool:
        return self.number(f"SELECT count(*) FROM {self.tables} WHERE id = %s AND finished_at IS NOT NULL", handle) > 0

    def unrecorded(self) -> int:
        return self.number(f"SELECT count(*) FROM {self.tables} WHERE finished_at IS NULL")


def client() -> DjangoClient:
    """For :mod:`benchmarks.client`."""
    return DjangoTasksDb()
