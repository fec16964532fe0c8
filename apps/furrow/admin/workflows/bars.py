"""The timeline of a workflow: for each node that was let go when it waited in a queue and when it ran."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from furrow.admin.workflows.nodes import Seen
from furrow.models import Workflow

#: The whole span, in units of the drawing; the least that is seen.
SPAN, LEAST = 1000, 4


@dataclass(frozen=True)
class Bar:
    """One node: from when it was let go a thin line, from when its job began a bar."""

    seen: Seen
    let_go: float
    ran: float
    end: float

    @property
    def waited(self) -> float:
        """The line's length."""
        return max(0.0, self.ran - self.let_go)

    @property
    def length(self) -> float:
        """The bar's length."""
        return max(float(LEAST), self.end - self.ran) if self.seen.seconds is not None else 0.0


@dataclass(frozen=True)
class Timeline:
    """The bars, by when they begin, and the span that they are drawn over."""

    bars: list[Bar]
    begin: dt.datetime
    end: dt.datetime

    @property
    def seconds(self) -> float:
        """How long the span is."""
        return (self.end - self.begin).total_seconds()


def timeline(workflow: Workflow, seen: Sequence[Seen], now: dt.datetime) -> Timeline:
    """The nodes of a page that were let go."""
    begun = [one for one in seen if one.begun is not None and one.ended is not None]
    begun.sort(key=lambda one: (one.begun or now, one.node.position))
    begin = begun[0].begun or workflow.created_at if begun else workflow.created_at
    end = max((one.ended for one in begun if one.ended), default=workflow.finished_at or now)
    whole = max((end - begin).total_seconds(), 0.001)

    def at(moment: dt.datetime | None, default: float) -> float:
        return default if moment is None else round(min(SPAN, max(0.0, (moment - begin).total_seconds() / whole * SPAN)), 1)

    bars = []
    for one in begun:
        let_go, end_at = at(one.begun, 0.0), at(one.ended, SPAN)
        bars.append(Bar(one, let_go, min(max(let_go, at(one.ran, end_at)), SPAN - LEAST), end_at))
    return Timeline(bars, begin, end)
