"""Taskiq on RabbitMQ through aio-pika. Records nothing: it has no result backend here, and none keeps a history.

Its queue is a quorum queue, published to with confirms, and a message is acknowledged once its task has ended: a dead worker's
messages are delivered again, and RabbitMQ loses none that it confirmed. Tasks are asynchronous, in two processes with uvloop.
"""

import asyncio
import os
import time
from collections.abc import Coroutine
from typing import Any

from taskiq.serializers import ORJSONSerializer  # type: ignore[import-not-found]
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue  # type: ignore[import-not-found]

from benchmarks.client import Client
from benchmarks.counter import count_async

NAME = os.environ["BENCH_QUEUE"]
broker = AioPikaBroker(
    os.environ["BROKER_URL"] + "?heartbeat=0",
    exchange=Exchange(name=NAME),
    task_queues=[Queue(name=NAME)],
    dead_letter_queue=Queue(name=f"{NAME}-dead"),
    qos=int(os.environ["BENCH_AT_ONCE"]),
).with_serializer(ORJSONSerializer())


@broker.task  # type: ignore[untyped-decorator]
async def noop(work: int) -> None:
    """Count, after so many milliseconds."""
    await count_async(work)


class Taskiq(Client):
    """Sends messages; many at once wait for their confirms together."""

    def prepare(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.do(broker.startup())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to its end."""
        return self.loop.run_until_complete(work)

    def reset(self) -> None:
        self.do(self._queue(purge=True))

    def submit_one(self, work: int) -> Any:
        self.do(noop.kiq(work))

    def submit_bulk(self, n: int, work: int) -> None:
        for start in range(0, n, 500):
            self.do(self._many(min(500, n - start), work))

    def load(self, n: int) -> None:
        while self.do(self._queue()) < n:
            time.sleep(0.05)

    async def _many(self, n: int, work: int) -> None:
        await asyncio.gather(*(noop.kiq(work) for _ in range(n)))

    async def _queue(self, purge: bool = False) -> int:
        """Messages that wait."""
        async with broker.write_conn.channel() as channel:
            queue = await channel.get_queue(NAME)
            if purge:
                await queue.purge()
            return int(queue.declaration_result.message_count)


def client() -> Client:
    """For :mod:`benchmarks.client`."""
    return Taskiq()
