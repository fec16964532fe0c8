"""Celery tasks as a project has them; ``FURROW_ADOPT=adopted.*`` makes jobs of them."""

import os
from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded


class Made(Task):
    """Counts how often it is made in a process."""

    abstract = True
    made = 0

    def __init__(self) -> None:
        self.made += 1


@shared_task(name="adopted.add")
def add(x: int, y: int = 1) -> int:
    """Add two numbers.

    Args:
        x: one.
        y: the other.
    """
    return x + y


@shared_task(name="adopted.asks", bind=True, base=Made)
def asks(self: Any) -> dict[str, Any]:
    """What it sees of itself."""
    return {"made": self.made, "hostname": self.request.hostname, "pid": os.getpid(), "retries": self.request.retries}


@shared_task(name="adopted.again", bind=True, max_retries=3)
def again(self: Any, times: int) -> int:
    """Ask for other runs."""
    if self.request.retries < times:
        raise self.retry(countdown=0)
    return int(self.request.retries)


@shared_task(name="adopted.slow", soft_time_limit=0.2)
def slow() -> str:
    """Run into its soft limit."""
    try:
        while True:
            pass
    except SoftTimeLimitExceeded as error:
        return type(error).__name__


@shared_task(name="adopted.too_slow", time_limit=0.5)
def too_slow() -> None:
    """Run into its limit."""
    while True:
        pass


@shared_task(name="adopted.kills_itself", bind=True)
def kills_itself(self: Any) -> int:
    """Lose its process, once."""
    if self.request.retries == 0:
        os.kill(os.getpid(), 9)
    return int(self.request.retries)
