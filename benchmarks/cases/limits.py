"""Jobs that need a lock: of ten thousand keys, of a hundred, of one. Beside the same jobs without, by turns."""

from statistics import median

from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure

#: Jobs of a drain: without a key, and by the number of keys.
JOBS = {0: 30_000, 10_000: 30_000, 100: 30_000, 1: 30_000}
ROUNDS = 3


def run(bench: Bench) -> list[Figure]:
    """Jobs that do nothing, so that what a lock costs is all there is to see. Job i needs the key i modulo their number."""
    rates: dict[int, list[float]] = {keys: [] for keys in JOBS}
    costs: dict[int, list[float]] = {keys: [] for keys in JOBS}
    for _ in range(ROUNDS if bench.scale >= 0.1 else 1):
        for keys, jobs in JOBS.items():
            rate, cost = bench.drain(bench.jobs(jobs), keys=keys)
            rates[keys].append(rate)
            costs[keys].append(cost)
    plain = median(rates[0])
    found = [
        Figure("rate without a lock", plain, "jobs/s"),
        Figure("PostgreSQL's processor time a job without", median(costs[0]), "µs"),
    ]
    for keys in [keys for keys in JOBS if keys]:
        name = f"{keys:,} key{'s' if keys > 1 else ''}"
        found += [
            Figure(f"rate with a lock, {name}", median(rates[keys]), "jobs/s"),
            Figure(f"of that without, {name}", 100 * median(rates[keys]) / plain, "%", at_least=50),
            Figure(f"PostgreSQL's processor time a job, {name}", median(costs[keys]), "µs"),
        ]
    return found
