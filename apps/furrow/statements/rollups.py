"""How counts are kept, on both databases: what happened within five seconds, then within a minute, ten minutes, an hour.

The statement that settles also counts, so that a count is as true as the row it stands for: what a killed worker had not
committed is not counted, what a fence held off is not, and nothing is counted twice. Each database session has rows of its own,
so no transaction waits for another's. A span is short at first because each commit leaves a dead version of its rows, and
while somebody keeps an old snapshot open those cannot be removed: a new span begins with none.
"""

from typing import NamedTuple

#: Upper bounds of the buckets of waits and run times, in seconds; one bucket more is for what is longer.
BOUNDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0),
)
#: The bucket of what took no time that is known.
TIMELESS = -1
WAIT = "wait"
#: Seconds of the span in which a count begins.
SPAN = 5


class Grain(NamedTuple):
    """Spans of ``seconds`` that began ``after`` seconds ago or earlier are rolled into those of ``into`` seconds (0: one)."""

    seconds: int
    after: int
    into: int
    keeps_worker: bool


#: In this order. A chart of an hour has minutes, one of a day has ten minutes, one of a month has hours; what is older is kept
#: as sums alone, so that totals never shrink.
GRAINS = (
    Grain(SPAN, 3 * 60, 60, True),
    Grain(60, 2 * 3600, 600, False),
    Grain(600, 2 * 86400, 3600, False),
    Grain(3600, 40 * 86400, 0, False),
)


def before(grain: Grain, now: float) -> int:
    """Spans of this grain that begin before this time are rolled: whole ones of the next. Times in seconds since the epoch."""
    moment, whole = now - grain.after, grain.into or grain.seconds
    return int(moment // whole) * whole


def begin(grain: Grain) -> str:
    """An SQL expression: when the span begins into which a row is rolled."""
    return f"at - at %% {grain.into}" if grain.into else "0"
