"""Somebody keeps rows of jobs locked: how fast all others go, and how soon one of a few is done, by turns with and without."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import redis

from benchmarks.cases import rows
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure
from benchmarks.trial import say

#: Turns of each, and seconds of one.
TURNS, SPAN = 3, 60.0
#: Jobs that wait at any time, and how many are added at once.
BACKLOG, ADDED = 20_000, 5_000
#: Jobs a second where the latency is measured.
STEADY = 50
#: The channel on which a submit wakes the dispatcher.
WAKE = "furrow:wake"


def run(bench: Bench) -> list[Figure]:
    """The same minute again and again, so that a machine with other work on it is as slow for the one as for the other."""
    bench.counts.clear()
    bench.start_worker()
    bench.start_dispatcher()
    try:
        rows.pending(bench.link, ADDED)
        bench.wait(ADDED)
        free, locked = _by_turns(bench, _rate, "jobs/s")
        bench.all_recorded()
        soon, late = _by_turns(bench, _latency, "ms, p99")
    finally:
        bench.stop()
    rate, latency = statistics.median(free), statistics.median(soon)
    return [
        Figure("rate, no row locked", rate, "jobs/s"),
        Figure("rate, a due job's row locked", statistics.median(locked), "jobs/s"),
        Figure("rate while locked, of before", 100 * statistics.median(locked) / rate, "%", at_least=95),
        Figure(f"latency of {STEADY} jobs/s, p99, no row locked", latency, "ms"),
        Figure(f"latency of {STEADY} jobs/s, p99, a due job's row locked", statistics.median(late), "ms"),
        Figure("latency while locked, of before", 100 * statistics.median(late) / latency, "%", at_most=200),
    ]


def _by_turns(bench: Bench, measure: Callable[[Bench, float], float], unit: str) -> tuple[list[float], list[float]]:
    free, locked = [], []
    span = max(1.0, SPAN * min(1.0, bench.scale))
    for _ in range(TURNS):
        free.append(measure(bench, span))
        with _locked(bench):
            locked.append(measure(bench, span))
        say(f"  {free[-1]:,.0f} {unit}; locked {locked[-1]:,.0f}")
    return free, locked


@contextmanager
def _locked(bench: Bench) -> Iterator[None]:
    """A job becomes due whose row somebody has locked: the dispatcher sends it, and can neither mark nor can a worker claim
    it."""
    with psycopg.connect(bench.url) as holder:
        rows.pending(bench.link, 1, priority=0, delay="1 second")
        holder.execute("SELECT 1 FROM furrow_job WHERE state = 'pending' AND priority = 0 FOR UPDATE")
        yield


def _rate(bench: Bench, span: float) -> float:
    begin, before = time.perf_counter(), bench.counts.total()
    submitted = before
    while (now := time.perf_counter()) < begin + span:
        if submitted - bench.counts.total() < BACKLOG:
            rows.pending(bench.link, ADDED)
            submitted += ADDED
        bench.check()
        time.sleep(0.01)
    ran = bench.counts.total() - before
    rate = ran / (now - begin)
    bench.wait(submitted)
    return rate


def _latency(bench: Bench, span: float) -> float:
    """Milliseconds from the submit to the recorded end, of nearly all."""
    (since,) = bench.link.execute("SELECT clock_timestamp()").fetchone() or (None,)
    begin, sent, store = time.perf_counter(), 0, redis.Redis.from_url(bench.env["REDIS_URL"])
    while (passed := time.perf_counter() - begin) < span:
        if sent < passed * STEADY:
            rows.pending(bench.link, 1)
            store.publish(WAKE, b"")
            sent += 1
        else:
            bench.check()
            time.sleep(0.002)
    (p99,) = bench.link.execute(
        """SELECT 1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - run_at))
           FROM furrow_job WHERE finished_at IS NOT NULL AND created_at >= %s AND priority <> 0""",
        [since],
    ).fetchone() or (0.0,)
    return float(p99)
