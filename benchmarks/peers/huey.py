"""Huey on Redis, with results off: records nothing.

A task is popped from its list before it runs, so a worker that dies loses it; Redis, which writes its append-only file once a
second here, loses the last second in a crash of the machine. An enqueue cannot be part of a database transaction.
"""

import os
from typing import Any

from huey import RedisHuey  # type: ignore[import-not-found]

from benchmarks.client import Client
from benchmarks.counter import count

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS_URL"], results=False)


@huey.task()  # type: ignore[untyped-decorator]
def noop(work: int) -> None:
    """Count, after so many milliseconds."""
    count(work)


class Huey(Client):
    """Calls the task, which enqueues it."""

    def reset(self) -> None:
        huey.flush()

    def submit_one(self, work: int) -> Any:
        noop(work)


def client() -> Client:
    """For :mod:`benchmarks.client`."""
    return Huey()
