"""Rates over time from the counts (:class:`furrow.models.Rollup`); by kind: :mod:`furrow.diagnosis.kind_figures`.

Never from the jobs themselves: the cost does not depend on how many there are.
"""

import datetime as dt
from dataclasses import dataclass

from django.db.models import F, Sum

from furrow.diagnosis.kind_figures import KindFigures, by_kind, quantile
from furrow.models import Rollup
from furrow.statements.rollups import WAIT


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


__all__ = ["KindFigures", "Point", "by_kind", "by_time", "quantile"]
