"""A workflow of many jobs and their join, against the same jobs without one; a chain, against one job after the other."""

import statistics
import subprocess
import time

import redis

from benchmarks.cases import compare, rows
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure
from benchmarks.cases.locked_row import WAKE
from benchmarks.peer import ROOT
from benchmarks.trial import say

#: Jobs of the map, links of the chain, single jobs; turns of the first.
JOBS, LINKS, SINGLE, ROUNDS = 100_000, 10_000, 500, 3
_MAP = """
from furrow import workflow
with workflow("map") as w:
    many = w.map("furrow_kinds.noop", [{{"work": 0}}] * {jobs})
    w.add("furrow_kinds.noop", {{"work": 0}}, after=[many])
"""
_CHAIN = """
from furrow import workflow
with workflow("chain") as w:
    link = w.add("furrow_kinds.noop", {{"work": 0}})
    for _ in range({jobs} - 1):
        link = w.add("furrow_kinds.noop", {{"work": 0}}, after=[link])
"""


def run(bench: Bench) -> list[Figure]:
    """Two databases of one server, by turns; then the chain."""
    flowing = bench.another("workflows")
    flowing.fill = lambda jobs: _submit(flowing, _MAP, jobs - 1)
    try:
        rates = compare.by_turns(bench, flowing, bench.jobs(JOBS), ROUNDS)
    finally:
        flowing.close()
    single, link = _chain(bench)
    return [
        *compare.figures("a workflow", *rates, at_least=80),
        Figure("one job, from the submit to the recorded end, p50", single, "ms"),
        Figure("a link of a chain", link, "ms"),
        Figure("a link, of one job", 100 * link / single, "%", at_most=100),
    ]


def _submit(bench: Bench, text: str, jobs: int) -> None:
    command = [bench.env["BENCH_PYTHON"], "manage.py", "shell", "-v0", "-c", text.format(jobs=jobs)]
    subprocess.run(command, env=bench.env, cwd=ROOT, check=True)


def _chain(bench: Bench) -> tuple[float, float]:
    """Milliseconds of a job that is alone, and of a link, by turns in three parts of each."""
    bench.counts.clear()
    bench.start_worker()
    bench.start_dispatcher()
    store, alone, links = redis.Redis.from_url(bench.env["REDIS_URL"]), [], []
    try:
        rows.pending(bench.link, 100)
        bench.wait(100)
        for _ in range(3):
            alone += [_one(bench, store) for _ in range(max(10, bench.jobs(SINGLE) // 3))]
            ran, jobs = bench.counts.total(), bench.jobs(LINKS) // 3
            _submit(bench, _CHAIN, jobs)
            bench.wait(ran + 1)
            begin, first = time.perf_counter(), bench.counts.total()
            bench.wait(ran + jobs)
            links.append(1000 * (time.perf_counter() - begin) / (ran + jobs - first))
            say(f"  alone {statistics.median(alone):.1f} ms; a link {links[-1]:.1f} ms")
    finally:
        bench.stop()
    return statistics.median(alone), statistics.median(links)


def _one(bench: Bench, store: "redis.Redis") -> float:
    rows.pending(bench.link, 1)
    store.publish(WAKE, b"")
    bench.all_recorded()
    row = bench.link.execute(
        "SELECT 1000 * extract(epoch FROM finished_at - run_at) FROM furrow_job WHERE finished_at IS NOT NULL "
        "ORDER BY finished_at DESC LIMIT 1"
    ).fetchone()
    return float(row[0]) if row else 0.0
