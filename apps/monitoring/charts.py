"""Bars, drawn as SVG: what ended above the line, what failed below it, each with a scale of its own."""

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from apps.monitoring.rates import Point

#: Heights of the parts above and below the line, and the width of a step, in the drawing's own units.
ABOVE, BELOW, STEP = 80, 30, 6


@dataclass(frozen=True)
class Bar:
    """One step, in the drawing's units."""

    x: int
    y: float  #: where the part above the line begins
    ended: float  #: its height
    failed: float  #: the depth of the part below
    text: str  #: what it says when pointed at


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws."""

    title: str
    bars: list[Bar]
    width: int
    most_ended: str  #: a minute
    most_failed: str
    ended: int  #: all of it
    failed: int
    labels: list[str]  #: along the line, evenly spread

    #: For the template.
    above, height, step = ABOVE, ABOVE + BELOW, STEP


def chart(title: str, points: list[Point], seconds: int, *, labels: int = 5) -> Chart:
    """Of steps of so many seconds; heights are numbers a minute."""
    minutes = seconds / 60
    most_ended, most_failed = (max((getattr(p, of) for p in points), default=0) for of in ("ended", "failures"))
    bars = []
    for number, point in enumerate(points):
        ended, failed = _height(point.ended, most_ended, ABOVE), _height(point.failures, most_failed, BELOW)
        bars.append(Bar(number * STEP, ABOVE - ended, ended, failed, _text(point, seconds)))
    spots = [points[round(n * (len(points) - 1) / (labels - 1))].at for n in range(labels - 1)] if points else []
    return Chart(
        title,
        bars,
        len(points) * STEP,
        _number(most_ended / minutes),
        _number(most_failed / minutes),
        sum(point.ended for point in points),
        sum(point.failures for point in points),
        [*(f"{timezone.localtime(at):%H:%M}" for at in spots), "now"],
    )


def _height(count: int, most: int, tall: int) -> float:
    """Never so little that it cannot be seen."""
    return max(1.5, round(tall * count / most, 1)) if count else 0


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or rate == int(rate) else f"{rate:.1f}"


def _text(point: Point, seconds: int) -> str:
    begin = timezone.localtime(point.at)
    when = f"{begin:%H:%M}" if seconds == 60 else f"{begin:%H:%M} to {begin + dt.timedelta(seconds=seconds):%H:%M}"
    parts = [
        (point.succeeded, "succeeded"),
        (point.failed, "failed"),
        (point.cancelled, "cancelled"),
        (point.retried, "retried"),
    ]
    told = ", ".join(f"{count:,} {what}" for count, what in parts if count) or "nothing ended"
    return f"{when}: {told}"


def sparkline(counts: list[int], *, height: int = 24, step: int = 4) -> dict[str, object]:
    """Bars without words: ``{"width", "height", "bars": [(x, y, height)]}``."""
    most = max(counts, default=0)
    tall = [_height(count, most, height) for count in counts]
    bars = [(number * step, round(height - tall[number], 1), tall[number]) for number in range(len(counts)) if counts[number]]
    return {"width": len(counts) * step, "height": height, "bars": bars}
