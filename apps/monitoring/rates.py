"""What happened, read from the counts (:class:`apps.jobs.models.Rollup`): by time, and by kind with quantiles of the times.

Never from the jobs themselves: the cost does not depend on how many there are.
"""

import datetime as dt
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from django.db.models import F, Sum

from apps.jobs.models import Rollup
from apps.jobs.statements.rollups import BOUNDS, WAIT
from apps.jobs.states import FINAL, State

#: Runs that failed and will be followed by another.
RETRIED = "retried"
#: Where the first bucket begins, for the sake of a logarithm, and where the last one is taken to end, in seconds.
_LEAST, _MOST = 0.0005, 2 * BOUNDS[-1]


@dataclass
class Point:
    """What ended within one step of a chart."""

    at: dt.datetime
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0

    @property
    def ended(self) -> int:
        """Jobs."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def failures(self) -> int:
        """Runs that failed, whether or not another followed."""
        return self.failed + self.retried


@dataclass
class Times:
    """How long something took, by bucket."""

    buckets: Counter[int] = field(default_factory=Counter)
    total: float = 0.0

    @property
    def count(self) -> int:
        """How often."""
        return sum(self.buckets.values())

    @property
    def p50(self) -> float | None:
        """The median, in seconds."""
        return quantile(self.buckets, 0.5)

    @property
    def p95(self) -> float | None:
        """What 95 of 100 do not exceed, in seconds."""
        return quantile(self.buckets, 0.95)


@dataclass
class KindFigures:
    """One kind within a span of time."""

    kind: str
    ended: Counter[str] = field(default_factory=Counter)  #: measure → how often
    run: Times = field(default_factory=Times)
    wait: Times = field(default_factory=Times)

    @property
    def jobs(self) -> int:
        """Jobs that ended."""
        return sum(self.ended[state] for state in FINAL)

    @property
    def failed(self) -> int:
        """Jobs that ended in failure."""
        return self.ended[State.FAILED]

    @property
    def retried(self) -> int:
        """Runs that failed and were followed by another."""
        return self.ended[RETRIED]


def by_time(now: dt.datetime, steps: int, seconds: int) -> list[Point]:
    """The last so many steps of so many seconds, oldest first; the last one has not ended. A step is not shorter than the span
    in which counts of its age are kept (``statements.rollups.GRAINS``)."""
    last = int(now.timestamp()) // seconds * seconds
    first = last - (steps - 1) * seconds
    points = {at: Point(dt.datetime.fromtimestamp(at, dt.UTC)) for at in range(first, last + 1, seconds)}
    rows = Rollup.objects.filter(at__gte=first).exclude(measure=WAIT)
    for at, measure, count in rows.values_list(F("at") - F("at") % seconds, "measure").annotate(Sum("count")):
        if at in points and hasattr(points[at], measure):
            setattr(points[at], measure, getattr(points[at], measure) + count)
    return list(points.values())


def by_kind(now: dt.datetime, seconds: int) -> list[KindFigures]:
    """Each kind of which something ended within the last so many seconds, the busiest first."""
    kinds: defaultdict[str, KindFigures] = defaultdict(lambda: KindFigures(""))
    rows = Rollup.objects.filter(at__gte=int(now.timestamp()) - seconds)
    for kind, measure, bucket, count, total in rows.values_list("kind", "measure", "bucket").annotate(
        Sum("count"), Sum("total")
    ):
        figures = kinds[kind]
        figures.kind = kind
        if measure == WAIT:
            times = figures.wait
        else:
            figures.ended[measure] += count
            times = figures.run
        if bucket >= 0:
            times.buckets[bucket] += count
            times.total += total
    return sorted(kinds.values(), key=lambda figures: (-figures.jobs, figures.kind))


def quantile(buckets: Counter[int], share: float) -> float | None:
    """The value that this share of all does not exceed, in seconds: exact to the bucket, between its bounds as if they were
    spread evenly on a logarithmic scale. ``None`` of nothing."""
    wanted = share * sum(buckets.values())
    if not wanted:
        return None
    for bucket in sorted(buckets):
        if buckets[bucket] >= wanted:
            low = BOUNDS[bucket - 1] if bucket else _LEAST
            high = BOUNDS[bucket] if bucket < len(BOUNDS) else _MOST
            return math.exp(math.log(low) + math.log(high / low) * wanted / buckets[bucket])
        wanted -= buckets[bucket]
    return _MOST
