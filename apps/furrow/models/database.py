"""The database that jobs are in: that which the project's routers name for them, ``default`` where there is none."""

from typing import Any

from django.db import connections, router, transaction
from django.db.transaction import Atomic

from furrow.models.job import Job


def alias() -> str:
    """Its name in ``DATABASES``."""
    return router.db_for_write(Job)


def atomic(**options: Any) -> Atomic:
    """A transaction of it, with Django's ``savepoint`` and ``durable``."""
    return transaction.atomic(using=alias(), **options)


class _Connection:
    """This thread's connection to it, as ``django.db.connection`` is that to ``default``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(connections[alias()], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(connections[alias()], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(connections[alias()], name)


connection: Any = _Connection()
