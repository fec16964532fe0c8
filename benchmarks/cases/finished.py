"""Five million jobs have ended and are kept; those that come pass as through an empty table, also while old ones are pruned."""

import time

from benchmarks.cases import compare, rows
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure
from benchmarks.trial import say

FINISHED, CHUNK, DAYS = 5_000_000, 500_000, 6.0
JOBS, ROUNDS = 30_000, 3
#: So many more that are older than a dispatcher keeps them, for the prune.
OLD = 500_000
#: Seconds for which pruning is watched with nothing else to do.
ALONE = 20.0


def run(bench: Bench) -> list[Figure]:
    """Two databases of one server, by turns; then old jobs are added, and deleted by the dispatcher's prune."""
    loaded = bench.another("finished")
    try:
        total, chunk = bench.jobs(FINISHED), bench.jobs(CHUNK)
        for done in range(0, total, chunk):
            rows.finished(loaded.link, chunk, newest=DAYS * (1 - done / total), days=DAYS * chunk / total)
            say(f"  {done + chunk:,} finished jobs")
        loaded.link.execute("VACUUM ANALYZE furrow_job, furrow_attempt")
        plain, full = compare.by_turns(bench, loaded, bench.jobs(JOBS), ROUNDS)
        size = rows.sizes(loaded.link)
        told = compare.figures("finished jobs", plain, full, at_least=80)
        told += [Figure("size of furrow_job, without indexes", size.pop("furrow_job"), "MiB")]
        told += [Figure("size of its indexes", sum(size.values()), "MiB")]
        return told + _pruning(loaded, full)
    finally:
        loaded.close()


def _pruning(bench: Bench, unpruned: compare.Rates) -> list[Figure]:
    rows.finished(bench.link, bench.jobs(OLD), newest=20, days=5)
    bench.link.execute("VACUUM ANALYZE furrow_job, furrow_attempt")
    before, begin = rows.finished_count(bench.link), time.perf_counter()
    drained, _ = bench.drain(bench.jobs(JOBS))
    while_working = _rate(bench, before + bench.jobs(JOBS), begin)
    before = rows.finished_count(bench.link)
    bench.start_dispatcher()
    try:
        begin = time.perf_counter()
        time.sleep(ALONE * min(1, bench.scale * 5))
        alone = _rate(bench, before, begin)
    finally:
        bench.stop()
    dead = bench.link.execute("SELECT n_dead_tup, n_live_tup FROM pg_stat_user_tables WHERE relname = 'furrow_job'").fetchone()
    assert dead
    return [
        Figure("pruned while jobs pass", while_working, "jobs/s"),
        Figure("rate while pruning, of the rate without", 100 * drained / unpruned.jobs, "%", at_least=60),
        Figure("pruned with nothing else to do", alone, "jobs/s"),
        Figure("dead rows of furrow_job afterwards", 100 * dead[0] / max(1, sum(dead)), "% of all"),
    ]


def _rate(bench: Bench, before: int, begin: float) -> float:
    seconds = time.perf_counter() - begin
    return (before - rows.finished_count(bench.link)) / seconds
