"""How the tests' kinds are declared: ``kinds.NAME``, in whatever file of this folder."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import furrow
from furrow import Kind, RetryPolicy, current_job

Handler = Callable[..., Any]


@overload
def job(handler: Handler, /) -> Kind: ...
@overload
def job(**options: Any) -> Callable[[Handler], Kind]: ...
def job(handler: Handler | None = None, /, **options: Any) -> Any:
    """As ``furrow.job``, by the name ``kinds.function``."""
    if handler is None:
        return lambda handler: _declare(handler, **options)
    return _declare(handler)


def _declare(handler: Handler, **options: Any) -> Kind:
    return furrow.job(name=f"kinds.{handler.__name__}", **options)(handler)


logger = logging.getLogger("tests.kinds")


QUICK = RetryPolicy(max_attempts=3, base=0.05, jitter=0)


ONCE = RetryPolicy(max_attempts=1)


def append(path: str, line: str) -> None:
    """Append a line to a file, whole or not at all."""
    with Path(path).open("a") as file:
        file.write(f"{current_job.id} {current_job.attempt} {line}\n")
        file.flush()


def note(path: str, what: str, key: str = "") -> None:
    """Append a line of history that survives this process: when, what, of which key, job and attempt."""
    line = f"{time.monotonic_ns()} {what} {key or '-'} {current_job.id} {current_job.attempt}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)


def noted(path: str, key: str, seconds: float) -> None:
    """Begin, take this long, end."""
    note(path, "begin", key)
    time.sleep(seconds)
    note(path, "end", key)
