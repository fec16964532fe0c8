"""Jobs that end in some way: results, failures, retries, snoozes."""

import asyncio
import datetime as dt
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from celery import shared_task
from django.contrib.auth.models import Group
from django.db import transaction
from furrow import Abort, Retry, RetryPolicy, Snooze, cancel, current_job

from tests.kinds.declared import ONCE, QUICK, append, job


@job
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@job
def noop(n: int = 0) -> None:
    """Do nothing."""


@job(retry=QUICK)
def fails(message: str = "as asked") -> None:
    """Raise, every time."""
    raise ValueError(message)


@job(
    retry=RetryPolicy(
        max_attempts=5, base=0.05, jitter=0, exceptions={KeyError: None, OSError: RetryPolicy(max_attempts=2, base=0.05)}
    )
)
def fails_with(error: Literal["KeyError", "OSError", "Abort", "Retry", "SystemExit"]) -> None:
    """Raise what is asked for."""
    raise {
        "KeyError": KeyError("k"),
        "OSError": OSError("o"),
        "Abort": Abort("no use"),
        "Retry": Retry("later", seconds=0.05),
        "SystemExit": SystemExit(3),
    }[error]


@job(retry=QUICK)
def succeeds_on(attempt: int) -> int:
    """Fail until this attempt."""
    if current_job.attempt < attempt:
        raise ValueError(f"not yet: attempt {current_job.attempt}")
    return current_job.attempt


@job(retry=ONCE)
def snoozes(times: int) -> int:
    """Snooze so many times, then succeed."""
    if current_job.attempt <= times:
        raise Snooze(0.05, "not ready")
    return current_job.attempt


@job(transactional=True, retry=QUICK)
def writes(
    name: str, then: Literal["returns", "raises", "dies", "dies after the commit", "waits"] = "returns", mark: str = ""
) -> None:
    """Write a row in the job's own transaction; on the first attempt something may happen to it after that."""
    Group.objects.create(name=name)
    if mark:
        append(mark, "began")
    if current_job.attempt > 1:
        return
    if then == "raises":
        raise ValueError("after it wrote")
    if then == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if then == "dies after the commit":
        transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    if then == "waits":
        time.sleep(1.5)


@job
def marks(mark: str, n: int) -> int:
    """Say in a file that it began, and return the number."""
    append(mark, "began")
    return n


@job
def returns(what: Literal["large", "unserializable", "nan", "none", "nested", "nul", "date"]) -> Any:
    """Return something."""
    return {
        "large": "x" * 300_000,
        "unserializable": object(),
        "nan": float("nan"),
        "none": None,
        "nested": {"a": [1, {"b": None}]},
        "nul": "a\x00b",
        "date": {"day": dt.date(2026, 1, 2)},
    }[what]


@job
async def asynchronous(seconds: float = 0.0) -> str:
    """An async handler."""
    await asyncio.sleep(seconds)
    return "awaited"


@shared_task(name="tests.kinds.ordinary")  # type: ignore[untyped-decorator]
def ordinary(n: int, seconds: float = 0.0, mark: str = "") -> int:
    """Not a job: a plain Celery task in the same project. It makes a file when it begins."""
    if mark:
        Path(mark).touch()
    time.sleep(seconds)
    return n * 2


@job(retry=QUICK)
def cancels_itself_and_fails() -> None:
    """Fail, after somebody has cancelled this job."""
    assert current_job.id is not None
    cancel(current_job.id)
    raise ValueError("too late")


@job(tags=["always"])
def tagged() -> None:
    """Has a tag of its own."""
