"""The process in which a peer's client lives: takes orders on stdin, one JSON object a line, and answers on stdout.

python -m benchmarks.client benchmarks.peers.furrow
"""

import importlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from benchmarks.counter import Counts


class Client(ABC):
    """What a peer's file must offer; ``work`` is how many milliseconds each job sleeps."""

    def prepare(self) -> None:  # noqa: B027 - some need none
        """Once: make schemas and queues."""

    @abstractmethod
    def reset(self) -> None:
        """Before each trial: no job, no history."""

    @abstractmethod
    def submit_one(self, work: int) -> Any:
        """Submit one job, as an application does; returns what :meth:`recorded` needs."""

    def submit_bulk(self, n: int, work: int) -> None:
        """Submit many, in the quickest way that the peer documents."""
        for _ in range(n):
            self.submit_one(work)

    def load(self, n: int) -> None:  # noqa: B027 - for most it is there at once
        """Return once the backlog of n jobs is where the workers look for it."""

    def recorded(self, handle: Any) -> bool:
        """Whether this job, which has run, is recorded as done; peers that record nothing are done with it."""
        return True

    def unrecorded(self) -> int:
        """Jobs that are not recorded as done yet."""
        return 0


def _latency(client: Client, n: int) -> list[float]:
    """Seconds from submit to recorded of n jobs, one at a time with pauses between, so that each finds the peer idle. Polled
    for: the counts and most peers' records tell nobody, and the looks are short against what is measured."""
    counts, times = Counts(Path(os.environ["BENCH_COUNTS"])), []
    for _ in range(n):
        time.sleep(0.015)
        before, begin = counts.total(), time.perf_counter()
        handle = client.submit_one(0)
        while counts.total() == before:
            time.sleep(0.0003)
        while not client.recorded(handle):
            time.sleep(0.0005)
        times.append(time.perf_counter() - begin)
    return times


def _obey(client: Client, order: dict[str, Any]) -> Any:
    """One order; answers seconds, or what it asks for."""
    name, n, work = order["do"], order.get("n", 0), order.get("work", 0)
    begin = time.perf_counter()
    if name == "submit_one":
        for _ in range(n):
            client.submit_one(work)
    elif name == "submit_bulk":
        client.submit_bulk(n, work)
    elif name == "load":
        client.load(n)
    elif name == "latency":
        return _latency(client, n)
    elif name == "prepare":
        client.prepare()
        client.reset()
        client.submit_bulk(20, 0)  # connections, statements, caches
        for _ in range(20):
            client.submit_one(0)
    elif name in ("reset", "unrecorded"):
        return getattr(client, name)()
    else:
        raise ValueError(name)
    return time.perf_counter() - begin


def main() -> None:
    """Until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the peer prints goes to the log
    client: Client = importlib.import_module(sys.argv[1]).client()
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        answers.write(json.dumps({"answer": _obey(client, json.loads(line))}) + "\n")


if __name__ == "__main__":
    main()
