"""A million jobs of the best priority are scheduled for tomorrow; those that are due do not notice."""

from benchmarks.cases import compare, rows
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure

SCHEDULED, JOBS, ROUNDS = 1_000_000, 30_000, 3


def run(bench: Bench) -> list[Figure]:
    """The due ones have the default priority. Two databases of one server, by turns."""
    loaded = bench.another("scheduled")
    try:
        rows.pending(loaded.link, bench.jobs(SCHEDULED), priority=0, delay="1 day")
        loaded.link.execute("VACUUM ANALYZE furrow_job")
        rates = compare.by_turns(bench, loaded, bench.jobs(JOBS), ROUNDS)
    finally:
        loaded.close()
    return compare.figures("scheduled jobs", *rates, at_least=80)
