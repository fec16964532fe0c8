"""What the clients of all Celery variants share: publish, and wait until the backlog lies in the queue."""

import time
from typing import Any

from benchmarks.client import Client


class Row:
    """Where a variant records; this one nowhere."""

    def prepare(self) -> None:
        """Make the tables."""

    def reset(self) -> None:
        """Empty them."""

    def recorded(self, id: str) -> bool:
        """Whether this task is recorded as done."""
        return True

    def count(self) -> int:
        """Tasks recorded as done."""
        return 0


class CeleryClient(Client):
    """Publishes tasks."""

    def __init__(self, app: Any, task: Any, row: Row, records: bool = False) -> None:
        self.app, self.task, self.row, self.records, self.submitted = app, task, row, records, 0

    def prepare(self) -> None:
        self.row.prepare()

    def reset(self) -> None:
        self.row.reset()
        self.submitted = 0
        with self.app.connection_for_write() as connection:
            channel = connection.default_channel
            queue = self.app.amqp.queues[self.app.conf.task_default_queue](channel)
            queue.delete()
            queue.declare()

    def submit_one(self, work: int) -> Any:
        self.submitted += 1
        return self.task.delay(work).id

    def submit_bulk(self, n: int, work: int) -> None:
        """One producer for all, which saves each a trip to the pool of producers."""
        self.submitted += n
        with self.app.producer_pool.acquire(block=True) as producer:
            for _ in range(n):
                self.task.apply_async((work,), producer=producer)

    def load(self, n: int) -> None:
        name = self.app.conf.task_default_queue
        deadline = time.monotonic() + 30
        with self.app.connection_for_write() as connection:
            while connection.default_channel.queue_declare(name, passive=True).message_count < n:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} does not hold {n} messages")
                time.sleep(0.05)

    def recorded(self, handle: Any) -> bool:
        return self.row.recorded(handle)

    def unrecorded(self) -> int:
        return self.submitted - self.row.count() if self.records else 0
