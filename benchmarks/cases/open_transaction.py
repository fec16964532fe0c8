"""An idle transaction elsewhere holds a snapshot, so nothing that dies can be removed, while a million jobs pass through."""

import itertools
import time

import psycopg

from benchmarks.cases import rows
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure
from benchmarks.trial import say

JOBS, SAMPLE = 1_000_000, 50_000
#: Jobs that wait at any time, and how many are added at once.
BACKLOG, ADDED = 20_000, 5_000


def run(bench: Bench) -> list[Figure]:
    """Jobs are submitted as they go, so that the backlog stays within ``BACKLOG``."""
    jobs, sample = bench.jobs(JOBS), bench.jobs(SAMPLE)
    with psycopg.connect(bench.url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM furrow_job")
        bench.counts.clear()
        bench.start_worker()
        bench.start_dispatcher()
        try:
            rates, used = _rates(bench, jobs, sample)
            bench.all_recorded()
        finally:
            bench.stop()
    #: The first sample has a worker that is warming up and an empty table.
    start, end = max(rates[:2]), sum(rates[-2:]) / len(rates[-2:])
    size = rows.sizes(bench.link)
    return [
        *(Figure(f"rate until {(number + 1) * sample:,} jobs", rate, "jobs/s") for number, rate in enumerate(rates)),
        Figure("rate at the end, of the starting rate", 100 * end / start, "%", at_least=70),
        Figure("processor time at the start, of everybody", used[1], "µs/job"),
        Figure("processor time at the end, of everybody", used[-1], "µs/job"),
        *(Figure(f"size of {name}", mib, "MiB") for name, mib in size.items()),
    ]


def _rates(bench: Bench, jobs: int, sample: int) -> tuple[list[float], list[float]]:
    """Of each sample jobs/s and the processor time of the programs and the servers, µs a job."""
    rates: list[float] = []
    used: list[float] = []
    submitted = done = 0
    begin, before = time.perf_counter(), sum(bench.used().values())
    for goal in itertools.count(sample, sample):
        while (ran := bench.counts.total()) < min(goal, jobs):
            if submitted < jobs and submitted - ran < BACKLOG:
                more = min(ADDED, jobs - submitted)
                rows.pending(bench.link, more)
                submitted += more
            else:
                bench.check()
                time.sleep(0.01)
        now, after = time.perf_counter(), sum(bench.used().values())
        rates.append((ran - done) / (now - begin))
        used.append(1e6 * (after - before) / max(1, ran - done))
        say(f"  {ran:,} jobs: {rates[-1]:,.0f}/s, {used[-1]:,.0f} µs of processor time a job")
        done, begin, before = ran, now, after
        if goal >= jobs:
            return rates, used
    raise AssertionError
