"""The campaign's kinds. Registered only in its private processes (``FURROW_MODULES`` names this module there)."""

import hashlib
import logging
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from django.core.files.storage import default_storage
from django.db import connection

from apps.jobs.api import Abort, RetryPolicy, Secret, Snooze, Unique, UploadedPath, current_job, job
from apps.prove.records import Record
from apps.prove.spec import KEPT, SPECS, STARTS, STRETCH

_effects = Record("effects")
logger = logging.getLogger(__name__)


def _retry(kind: str) -> RetryPolicy:
    return RetryPolicy(max_attempts=SPECS[kind].attempts, base=0.2, factor=1.5, cap=2.0)


@dataclass
class Witness:
    """Writes down what a run does, before it is done; what it ``returns`` is written down with its end."""

    run: dict[str, Any]
    returns: Any = None

    def log(self, text: str) -> None:
        """Log a line."""
        _effects.write(did="log", text=text, **self.run)
        logger.warning(text)


@contextmanager
def _witnessed(kind: str, **saw: Any) -> Iterator[Witness]:
    """Write down that this run begins, with which arguments, and how it ends. A run that was killed has a beginning and no
    end."""
    assert current_job.id is not None
    run = {"job": current_job.id.hex, "attempt": current_job.attempt}
    witness = Witness(run)
    _effects.write(did="begin", kind=kind, saw=saw, **run)
    try:
        yield witness
    except BaseException as error:
        _effects.write(did="raise", error=type(error).__name__, **run)
        raise
    _effects.write(did="end", result=witness.returns, **run)


@job(name="prove.noop", retry=_retry("prove.noop"))
def noop(n: int = 0) -> dict[str, Any]:
    """Do nothing but leave a trace; no two return the same."""
    with _witnessed("prove.noop", n=n) as witness:
        witness.returns = answer = {"job": witness.run["job"], "n": n}
    return answer


@job(name="prove.brief", retry=_retry("prove.brief"), queue="prove")
def brief(milliseconds: float) -> None:
    """Take some milliseconds."""
    with _witnessed("prove.brief", milliseconds=milliseconds):
        time.sleep(milliseconds / 1000)


@job(name="prove.long", retry=_retry("prove.long"), queue="prove")
def long(seconds: float) -> str:
    """Take seconds, and say how far it is."""
    with _witnessed("prove.long", seconds=seconds) as witness:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            current_job.progress(max(0.0, 1 - left / seconds))
            time.sleep(min(0.1, left))
        witness.returns = answer = "done"
    return answer


@job(name="prove.flaky", retry=_retry("prove.flaky"))
def flaky() -> None:
    """Raise in a third of the runs."""
    with _witnessed("prove.flaky"):
        if random.random() < 1 / 3:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.fails", retry=_retry("prove.fails"))
def fails() -> None:
    """Raise in every run; the job ends failed."""
    with _witnessed("prove.fails"):
        raise ValueError("as asked")


@job(name="prove.aborts", retry=_retry("prove.aborts"))
def aborts() -> None:
    """Fail at once, whatever attempts are left."""
    with _witnessed("prove.aborts"):
        raise Abort("as asked")


@job(name="prove.snoozes", retry=_retry("prove.snoozes"))
def snoozes(times: int) -> None:
    """Ask to be run again, so many times."""
    with _witnessed("prove.snoozes", times=times):
        if current_job.attempt <= times:
            raise Snooze(0.2, "as asked")


@job(name="prove.logs", retry=_retry("prove.logs"))
def logs(count: int) -> None:
    """Log so many lines, and raise in some of the runs."""
    with _witnessed("prove.logs", count=count) as witness:
        for n in range(count):
            witness.log(f"{witness.run['job']}: line {n} of attempt {witness.run['attempt']}")
        if random.random() < 0.2:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.writes", retry=_retry("prove.writes"))
def writes() -> None:
    """Write a row and commit it, like a handler with a transaction of its own."""
    with _witnessed("prove.writes"):
        _write_row()


@job(name="prove.transactional", retry=_retry("prove.transactional"), transactional=True)
def transactional() -> None:
    """Write a row in the transaction that also settles the job: exactly one, however often it runs."""
    with _witnessed("prove.transactional"):
        _write_row()


@job(name="prove.overdue", retry=_retry("prove.overdue"), queue="prove", timeout=SPECS["prove.overdue"].timeout)
def overdue() -> None:
    """Take longer than allowed, at first."""
    with _witnessed("prove.overdue"):
        time.sleep(60 if current_job.attempt == 1 else 0)


@job(name="prove.dies", retry=_retry("prove.dies"), queue="prove")
def dies(times: int) -> None:
    """Kill its own process, so many times."""
    with _witnessed("prove.dies", times=times):
        if current_job.attempt <= times:
            os.kill(os.getpid(), signal.SIGKILL)


@job(name="prove.reads", retry=_retry("prove.reads"))
def reads(file: UploadedPath) -> str:
    """Read a file that was kept for it."""
    with _witnessed("prove.reads", file=file) as witness, default_storage.open(file) as content:
        witness.returns = answer = hashlib.sha256(content.read()).hexdigest()
    return answer


@job(name="prove.secret", retry=_retry("prove.secret"))
def secret(pin: Annotated[str, Secret]) -> str:
    """Use a secret; what is returned does not tell it."""
    with _witnessed("prove.secret", pin=pin) as witness:
        witness.returns = answer = hashlib.sha256(pin.encode()).hexdigest()
    return answer


@job(name="prove.alone", retry=_retry("prove.alone"), queue="prove", lock="prove:{key}")
def alone(key: int, milliseconds: float) -> None:
    """Take some milliseconds; one at a time of each key."""
    with _witnessed("prove.alone", key=key, milliseconds=milliseconds):
        time.sleep(milliseconds / 1000)


@job(
    name="prove.few",
    retry=_retry("prove.few"),
    queue="prove",
    concurrency=SPECS["prove.few"].slots,
    concurrency_key="few:{key}",
)
def few(key: int, milliseconds: float) -> None:
    """Take some milliseconds; some at a time of each key."""
    with _witnessed("prove.few", key=key, milliseconds=milliseconds):
        time.sleep(milliseconds / 1000)


@job(name="prove.paced", retry=_retry("prove.paced"), rate=f"{STARTS}/{STRETCH:g}s", rate_key="paced:{key}")
def paced(key: int) -> None:
    """Start not too often."""
    with _witnessed("prove.paced", key=key):
        pass


@job(name="prove.ordered", retry=_retry("prove.ordered"), ordered="ordered:{key}")
def ordered(key: str, n: int) -> None:
    """One after the other, over retries; a quarter of the runs raise."""
    with _witnessed("prove.ordered", key=key, n=n):
        if random.random() < 1 / 4:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.lined", retry=_retry("prove.lined"), queue="prove_lined")
def lined(key: str, n: int) -> None:
    """One after the other, in a queue with partitions."""
    with _witnessed("prove.lined", key=key, n=n):
        pass


@job(name="prove.fair", retry=_retry("prove.fair"), queue="prove", fair="tenant:{tenant}")
def fair(tenant: int) -> None:
    """Take turns."""
    with _witnessed("prove.fair", tenant=tenant):
        pass


@job(name="prove.once", retry=_retry("prove.once"), unique=Unique("{key}", until="done"))
def once(key: str, n: int) -> int:
    """One until it is done; who submits another gets the first."""
    with _witnessed("prove.once", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.only", retry=_retry("prove.only"), unique=Unique("{key}", until="done", conflict="raise"))
def only(key: str, n: int) -> int:
    """One until it is done; who submits another is refused."""
    with _witnessed("prove.only", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.lasting", retry=_retry("prove.lasting"), unique=Unique("{key}", until=timedelta(seconds=KEPT)))
def lasting(key: str, n: int) -> int:
    """One within so many seconds."""
    with _witnessed("prove.lasting", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.debounced", retry=_retry("prove.debounced"), unique=Unique("{key}", until="started", conflict="replace"))
def debounced(key: str, n: int) -> int:
    """One until it has started, with the latest arguments."""
    with _witnessed("prove.debounced", key=key, n=n) as witness:
        witness.returns = n
    return n


def _write_row() -> None:
    assert current_job.id is not None
    id = current_job.id if connection.features.has_native_uuid_field else current_job.id.hex
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO prove_write (job, attempt, at) VALUES (%s, %s, %s)", [id, current_job.attempt, time.time()])
