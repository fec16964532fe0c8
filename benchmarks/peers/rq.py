"""RQ on Redis, with ``SimpleWorker``, which does not fork for each job. Records each job, its times and its result, in Redis;
results are gone after 500 s.

Redis writes its append-only file once a second here: a crash of the machine loses the last second. A job of a worker that died
is marked as failed some minutes later. An ``enqueue`` cannot be part of a database transaction.
"""

import os
from typing import Any

import redis
from rq import Queue  # type: ignore[import-not-found]

from benchmarks.client import Client
from benchmarks.peers.rq_tasks import noop


class Rq(Client):
    """Enqueues, in bulk through a pipeline."""

    def prepare(self) -> None:
        self.redis = redis.from_url(os.environ["BENCH_REDIS_URL"])
        self.queue = Queue(os.environ["BENCH_QUEUE"], connection=self.redis)

    def reset(self) -> None:
        self.redis.flushdb()

    def submit_one(self, work: int) -> Any:
        return self.queue.enqueue(noop, work)

    def submit_bulk(self, n: int, work: int) -> None:
        for start in range(0, n, 500):
            datas = [Queue.prepare_data(noop, (work,)) for _ in range(min(500, n - start))]
            with self.redis.pipeline() as pipe:
                self.queue.enqueue_many(datas, pipeline=pipe)
                pipe.execute()

    def recorded(self, handle: Any) -> bool:
        return bool(handle.get_status(refresh=True) == "finished")

    def unrecorded(self) -> int:
        return int(self.queue.count + self.queue.started_job_registry.count)


def client() -> Client:
    """For :mod:`benchmarks.client`."""
    return Rq()
