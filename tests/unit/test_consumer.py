"""The worker's consumer."""

import os
from types import SimpleNamespace
from typing import Any

from celery.concurrency.asynpool import AsynPool
from furrow.worker.celery.consumer import watch_the_dying


class Loop:
    """What Celery's pool asks of an event loop."""

    def __init__(self) -> None:
        self.watched: list[int] = []

    def add_reader(self, descriptor: int, *callback: Any) -> None:
        """Watch it; raises ValueError on none, as kombu's hub does."""
        if descriptor is None:
            raise ValueError("file descriptor is None")
        self.watched.append(descriptor)

    def remove(self, descriptor: int) -> None:
        """Watch it no more."""
        self.watched.remove(descriptor)


def test_a_process_that_is_dying_at_a_reconnect_is_watched_again() -> None:
    reading, writing = os.pipe()
    dying: Any = SimpleNamespace(_popen=SimpleNamespace(sentinel=reading))
    pool: Any = SimpleNamespace(_pool=[dying], _event_process_exit=None)
    loop = Loop()
    AsynPool._track_child_process(pool, dying, loop)
    AsynPool._untrack_child_process(pool, dying, loop)  # its sentinel said that it ends
    assert loop.watched == []
    watch_the_dying(pool)
    AsynPool._track_child_process(pool, dying, loop)  # as at every connection
    assert len(loop.watched) == 1
    AsynPool._untrack_child_process(pool, dying, loop)
    os.close(reading)
    os.close(writing)
