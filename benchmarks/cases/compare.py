"""Two tables by turns: what one of them costs."""

import statistics
from dataclasses import dataclass

from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure
from benchmarks.trial import say


@dataclass(frozen=True)
class Rates:
    """Medians over the rounds."""

    jobs: float  #: a second
    postgresql: float  #: microseconds of PostgreSQL's processor time a job


def by_turns(plain: Bench, loaded: Bench, jobs: int, rounds: int) -> tuple[Rates, Rates]:
    """Drain so many jobs from each, every other round in reverse order."""
    drained: dict[str, list[tuple[float, float]]] = {plain.database: [], loaded.database: []}
    for number in range(rounds):
        for bench in (plain, loaded) if number % 2 == 0 else (loaded, plain):
            drained[bench.database].append(bench.drain(jobs))
            say(f"  {bench.database}: {drained[bench.database][-1][0]:,.0f}/s")
    first, second = (
        Rates(*(statistics.median(column) for column in zip(*drained[bench.database], strict=True)))
        for bench in (plain, loaded)
    )
    return first, second


def figures(name: str, plain: Rates, loaded: Rates, at_least: float | None = None) -> list[Figure]:
    """``name`` says what the loaded table has."""
    return [
        Figure("rate without", plain.jobs, "jobs/s"),
        Figure(f"rate with {name}", loaded.jobs, "jobs/s"),
        Figure("the latter of the former", 100 * loaded.jobs / plain.jobs, "%", at_least=at_least),
        Figure("PostgreSQL's processor time without", plain.postgresql, "µs/job"),
        Figure(f"PostgreSQL's processor time with {name}", loaded.postgresql, "µs/job"),
    ]
