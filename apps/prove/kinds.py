"""The campaign's kinds. Registered only in its private processes (``FURROW_MODULES`` names this module there)."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps.jobs.api import Abort, RetryPolicy, Snooze, current_job, job
from apps.prove.records import Record

_effects = Record("effects")
_QUICK = RetryPolicy(max_attempts=12, base=0.2, factor=1.5, cap=2.0)
_TWICE = RetryPolicy(max_attempts=2, base=0.2)


@contextmanager
def _witnessed(lock: str = "") -> Iterator[None]:
    """Write down that this run begins, and how it ends. A run that was killed has a beginning and no end."""
    assert current_job.id is not None
    run = {"job": current_job.id.hex, "attempt": current_job.attempt, "lock": lock}
    _effects.write(did="begin", **run)
    try:
        yield
    except BaseException:
        _effects.write(did="raise", **run)
        raise
    _effects.write(did="end", **run)


@job(name="prove.noop", retry=_QUICK)
def noop(n: int = 0) -> int:
    """Do nothing but leave a trace."""
    with _witnessed():
        return n


@job(name="prove.brief", retry=_QUICK, queue="prove")
def brief(milliseconds: float) -> None:
    """Take some milliseconds."""
    with _witnessed():
        time.sleep(milliseconds / 1000)


@job(name="prove.long", retry=_QUICK, queue="prove")
def long(seconds: float) -> str:
    """Take seconds, and say how far it is."""
    with _witnessed():
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            current_job.progress(max(0.0, 1 - left / seconds))
            time.sleep(min(0.1, left))
    return "done"


@job(name="prove.alone", retry=_QUICK, queue="prove", lock="prove:{key}")
def alone(key: int, milliseconds: float) -> None:
    """Take some milliseconds; one at a time of each key."""
    with _witnessed(f"prove:{key}"):
        time.sleep(milliseconds / 1000)


@job(name="prove.flaky", retry=_QUICK)
def flaky() -> None:
    """Raise in a third of the runs."""
    with _witnessed():
        if random.random() < 1 / 3:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.fails", retry=_TWICE)
def fails() -> None:
    """Raise in every run; the job ends failed."""
    with _witnessed():
        raise ValueError("as asked")


@job(name="prove.aborts", retry=_QUICK)
def aborts() -> None:
    """Fail at once, whatever attempts are left."""
    with _witnessed():
        raise Abort("as asked")


@job(name="prove.snoozes", retry=_QUICK)
def snoozes(times: int) -> None:
    """Ask to be run again, so many times."""
    with _witnessed():
        if current_job.attempt <= times:
            raise Snooze(0.2, "as asked")


@job(name="prove.writes", retry=_QUICK)
def writes() -> None:
    """Write a row and commit it, like a handler with a transaction of its own."""
    with _witnessed():
        _write_row()


@job(name="prove.transactional", retry=_QUICK, transactional=True)
def transactional() -> None:
    """Write a row in the transaction that also settles the job: exactly one, however often it runs."""
    with _witnessed():
        _write_row()


def _write_row() -> None:
    assert current_job.id is not None
    id = current_job.id if connection.features.has_native_uuid_field else current_job.id.hex
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO prove_write (job, attempt, at) VALUES (%s, %s, %s)", [id, current_job.attempt, time.time()])
