"""Presence: the row and the lease of an external worker."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import F

from furrow import statements
from furrow.conf import conf
from furrow.models import Worker
from furrow.models.database import connection
from furrow.models.job import new_id
from furrow.sanitize import clean
from furrow.statements import Report


class Introduction(NamedTuple):
    """What a worker says of itself when it asks for work."""

    name: str
    kinds: Sequence[str]
    queues: Sequence[str]
    host: str = ""
    pid: int = 0
    version: str = ""
    processes: int = 1  #: jobs that it runs at once


def come(worker: uuid.UUID | None, who: Introduction) -> uuid.UUID:
    """The worker asks for work: renew its lease, or begin a new life with a new id. Returns the id that holds the lease."""
    if worker is not None and renew(worker):
        return worker
    worker = new_id()
    description = {
        # Never the name of a Celery node, which answers to other questions.
        "node": f"{clean(who.name)[:200]} (external)",
        "host": clean(who.host)[:255],
        "version": clean(who.version)[:100],
        "pid": who.pid,
        "session": "",
        "queues": list(who.queues),
        "kinds": list(who.kinds),
    }
    report = Report(processes=who.processes)
    statements.on(connection).register_worker(connection, worker, conf().worker_lease, description, report)
    return worker


def renew(worker: uuid.UUID) -> bool:
    """Renew its lease; ``False``: it was taken for dead, has ended, or never was, and owns nothing."""
    now = statements.on(connection).clock(connection)
    until = now + dt.timedelta(seconds=conf().worker_lease)
    return bool(Worker.objects.filter(pk=worker, stopped_at__isnull=True).update(heartbeat_at=now, lease_until=until))


def leave(worker: uuid.UUID) -> bool:
    """It ends in order: what it has not ended is rescued at once; ``False``: it had none to give back."""
    now = statements.on(connection).clock(connection)
    return bool(Worker.objects.filter(pk=worker, stopped_at__isnull=True).update(stopped_at=now))


def forget(worker: uuid.UUID) -> None:
    """It came to be only a moment ago, and has nothing."""
    Worker.objects.filter(pk=worker).delete()


def count(worker: uuid.UUID, ended: int, failed: int) -> None:
    """So many of its runs have ended, so many of these not well."""
    Worker.objects.filter(pk=worker).update(ended=F("ended") + ended, failed=F("failed") + failed)
