"""Charts as SVG: bars of ended jobs above the line, of failed jobs below, each with its own scale."""

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from furrow.monitoring.rates import Point

#: Heights of the parts above and below the line, and the width of a step, in the drawing's own units.
ABOVE, BELOW, STEP = 80, 30, 6


@dataclass(frozen=True)
class Bar:
    """One step, in the drawing's units."""

    x: int
    ended: float  #: height above the line
    failed: float  #: depth below it
    text: str  #: what it says when pointed at

    @property
    def up(self) -> str:
        """The part above the line, as SVG's path."""
        return f"M{self.x} {ABOVE}v-{self.ended:g}h{STEP - 1}v{self.ended:g}z" if self.ended else ""

    @property
    def down(self) -> str:
        """The part below."""
        return f"M{self.x} {ABOVE}v{self.failed:g}h{STEP - 1}v-{self.failed:g}z" if self.failed else ""


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

    @property
    def up(self) -> str:
        """All that ended, as SVG's path."""
        return "".join(bar.up for bar in self.bars)

    @property
    def down(self) -> str:
        """All that failed."""
        return "".join(bar.down for bar in self.bars)


def chart(title: str, points: list[Point], seconds: int, *, labels: int = 5) -> Chart:
    """Of steps of so many seconds; heights are numbers a minute."""
    minutes = seconds / 60
    most_ended, most_failed = (max((getattr(p, of) for p in points), default=0) for of in ("ended", "failures"))
    bars = []
    for number, point in enumerate(points):
        ended, failed = _height(point.ended, most_ended, ABOVE), _height(point.failures, most_failed, BELOW)
        bars.append(Bar(number * STEP, ended, failed, _text(point, seconds)))
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
    """Bars without words: ``width``, ``height`` and SVG's ``path``."""
    most = max(counts, default=0)
    bars = [(number * step, _height(count, most, height)) for number, count in enumerate(counts) if count]
    path = "".join(f"M{x} {height}v-{tall:g}h{step - 1}v{tall:g}z" for x, tall in bars)
    return {"width": len(counts) * step, "height": height, "path": path}
