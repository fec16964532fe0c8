"""Jobs with rules between them: locks, limits, rates, order, uniqueness, turns."""

import os
import signal
import time
from typing import Literal

from django.db.models import F
from furrow import RetryPolicy, Unique, current_job, lock

from tests.kinds.declared import QUICK, append, job, note, noted


@job(retry=RetryPolicy(max_attempts=9, base=0.05, jitter=0))
def keyed(key: str | None, n: int, mark: str, seconds: float = 0.0, fails_until: int = 0) -> int:
    """Say in a file when it began and ended; fail until this attempt."""
    append(mark, f"began {key} {n}")
    time.sleep(seconds)
    if current_job.attempt < fails_until:
        append(mark, f"failed {key} {n}")
        raise ValueError("not yet")
    append(mark, f"ended {key} {n}")
    return n


@job(retry=QUICK)
def holds(name: str, mark: str, how: Literal["works", "deaf", "forgets", "dies"] = "works", seconds: float = 60.0) -> str:
    """Hold a lock and work, on the first attempt for so long, later for a moment."""
    guard = lock(name)
    held = guard.acquire()
    append(mark, f"holds {held.token}")
    if how == "forgets":
        return "forgot"
    if current_job.attempt > 1:
        guard.release()
        return "held it"
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "deaf":
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.02)
        except Exception:
            append(mark, "swallowed")
    guard.release()
    return "done"


@job(retry=QUICK, lock="account:{account}")
def locked(account: int, path: str, seconds: float = 0.0) -> None:
    """One at a time per account."""
    noted(path, f"account:{account}", seconds)


@job(retry=QUICK, concurrency=5, concurrency_key="tenant:{tenant}")
def crowded(tenant: str, path: str, seconds: float = 0.0) -> None:
    """Five at a time per tenant."""
    noted(path, f"tenant:{tenant}", seconds)


@job(retry=QUICK, rate="2/s")
def rated(path: str) -> None:
    """Two starts in any second."""
    note(path, "begin", "rated")


@job(retry=QUICK, ordered="customer:{customer}")
def in_order(customer: int, n: int, path: str, fails: int = 0) -> None:
    """One after the other per customer; fails so many times before it succeeds."""
    note(path, f"begin-{n}", f"customer:{customer}")
    if current_job.attempt <= fails:
        note(path, f"fail-{n}", f"customer:{customer}")
        raise ValueError(f"attempt {current_job.attempt} of {fails + 1}")
    note(path, f"end-{n}", f"customer:{customer}")


@job(retry=RetryPolicy(max_attempts=3, base=1.0, jitter=0), lock="key:{key}")
def keyed_and_locked(key: str, n: int, path: str, fails_until: int = 0) -> None:
    """One at a time per key, also by a lock; fail until this attempt."""
    note(path, "begin", f"key:{key}")
    note(path, "end", f"key:{key}")
    if current_job.attempt < fails_until:
        raise ValueError("not yet")


@job(unique="{account}")
def once(account: int, text: str = "") -> None:
    """One at a time in the table, per account."""


@job(unique=Unique("{account}", until="started", conflict="replace"))
def debounced(account: int, text: str = "") -> None:
    """Until it has begun another submit changes it."""


@job(fair="tenant:{tenant}")
def shared(tenant: str, n: int = 0) -> None:
    """Tenants take turns."""


@job(retry=QUICK)
def counts_under_a_lock(name: str, mark: str) -> None:
    """Count a row up under a lock, on the first attempt again and again, and without asking whether it is still held."""
    from tests.lock_rows import Row

    with lock(name) as held:
        append(mark, f"holds {held.token}")
        while True:
            Row.objects.fenced(held.token).filter(pk=name).update(value=F("value") + 1)
            if current_job.attempt > 1:
                return
            time.sleep(0.005)
