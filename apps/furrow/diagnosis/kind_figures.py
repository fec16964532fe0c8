"""Figures of each kind over a recent span, from the counts (:class:`furrow.models.Rollup`): outcomes, and quantiles of waits
and run times. The cost does not depend on the number of jobs."""

import datetime as dt
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from django.db.models import Sum

from furrow.models import Rollup
from furrow.statements.rollups import BOUNDS, WAIT
from furrow.states import FINAL, State

#: Runs that failed and will be followed by another.
RETRIED = "retried"
#: Where the first bucket begins, for the sake of a logarithm, and where the last one is taken to end, in seconds.
_LEAST, _MOST = 0.0005, 2 * BOUNDS[-1]


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
