"""Half a million jobs wait; the messages stay few, no process grows, and what is urgent does not wait behind them."""

import statistics
import time
from typing import Any

import amqp
from kombu import Connection

from benchmarks.cases import rows
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure

JOBS, URGENT = 500_000, 20
#: Seconds between two looks: a sample of what RabbitMQ and the database hold.
LOOK = 0.5
#: Memory is compared between these shares of the backlog.
FROM, TO = 0.1, 0.95


def run(bench: Bench) -> list[Figure]:
    """The backlog is submitted first, in one transaction; urgent jobs come at even distances while it is worked off."""
    jobs = bench.jobs(JOBS)
    rows.pending(bench.link, jobs)
    bench.counts.clear()
    bench.start_worker()
    bench.start_dispatcher()
    try:
        bench.wait(1)
        begin = time.perf_counter()
        messages, queued, memory = _watch(bench, jobs)
        bench.wait(jobs + URGENT)
        rate = (jobs + URGENT) / (time.perf_counter() - begin)
        bench.all_recorded()
    finally:
        bench.stop()
    waits = sorted(_waits(bench))
    first, last = memory
    return [
        Figure("rate", rate, "jobs/s"),
        Figure("messages in RabbitMQ, most", max(messages), "messages"),
        Figure("jobs handed out, of which workers hold some, most", max(queued), "jobs"),
        Figure("the same in seconds of work", max(queued) / rate, "s", at_most=5),
        *(Figure(f"memory of {name}, at first", first[name], "MiB") for name in first),
        *(
            Figure(f"memory of {name}, growth", last[name] - first[name], "MiB", at_most=16)
            for name in first
            if name != "rabbitmq"
        ),
        Figure("memory of rabbitmq, growth", last["rabbitmq"] - first["rabbitmq"], "MiB"),
        Figure("start of an urgent job, median", statistics.median(waits), "s"),
        Figure("start of an urgent job, slowest", waits[-1], "s", at_most=2),
    ]


def _watch(bench: Bench, jobs: int) -> tuple[list[int], list[int], list[dict[str, float]]]:
    """Messages in the queue and jobs that are queued, at each look; memory at two moments."""
    messages, queued, urgent = [0], [0], 0
    memory: list[dict[str, float]] = []
    with Connection(bench.servers.broker.url) as broker:
        channel: Any = broker.channel()
        while (share := bench.counts.total() / jobs) < TO:
            bench.check()
            messages.append(_depth(channel))
            queued.append(rows.queued(bench.link))
            if share >= FROM and not memory:
                memory.append(bench.memory())
            if share >= (urgent + 1) / (URGENT + 2):
                rows.pending(bench.link, 1, priority=0)
                urgent += 1
            time.sleep(LOOK * min(1, bench.scale * 5))
    for _ in range(URGENT - urgent):
        rows.pending(bench.link, 1, priority=0)
    memory.append(bench.memory())
    return messages, queued, memory if len(memory) == 2 else memory * 2


def _depth(channel: Any) -> int:
    try:
        return int(channel.queue_declare("default", passive=True).message_count)
    except amqp.NotFound:  # the dispatcher has not declared it yet
        return 0


def _waits(bench: Bench) -> list[float]:
    """Seconds from submit to start, of the urgent ones, by the rows."""
    found = bench.link.execute(
        """SELECT extract(epoch FROM a.started_at - j.created_at)::float8
           FROM furrow_job j JOIN furrow_attempt a ON a.job_id = j.id WHERE j.priority = 0"""
    )
    return [float(row[0]) for row in found]
