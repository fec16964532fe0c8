"""The drawing of a graph: boxes and lines with their coordinates, from the nodes and their layout. Pure."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from furrow.admin.workflows.layout import Edge, Spot, lay_out
from furrow.admin.workflows.nodes import ADDED, COMPENSATES, FOR, Seen
from furrow.diagnosis.wording import plain, span
from furrow.models import Node
from furrow.plural import counted
from furrow.states import Condition, NodeState, State

#: A box, and the room between boxes along the way of the lines and across it, in pixels.
WIDTH, HEIGHT, ALONG, ACROSS = 200, 58, 62, 18
MARGIN = 8
#: A graph runs to the right while it is no wider, else downwards if it is narrower then.
WIDE = 1_150
#: So many nodes that are alike are one box; more lines than this are not drawn.
ALIKE, LINES = 8, 1_500
#: Columns of text in a box.
COLUMNS = 24
#: States by shapes, for who does not tell the colours apart.
SHAPES: dict[str, str] = {
    NodeState.WAITING: "○",
    NodeState.DORMANT: "☾",
    State.PENDING: "○",
    State.QUEUED: "◔",
    NodeState.RUNNING: "▶",
    NodeState.SUCCEEDED: "✓",
    NodeState.FAILED: "✕",
    NodeState.CANCELLED: "⊘",
    NodeState.SKIPPED: "↷",
}
#: The state of alike nodes together: the first of these that one of them is in.
_FIRST = (
    NodeState.FAILED,
    NodeState.RUNNING,
    State.QUEUED,
    State.PENDING,
    NodeState.WAITING,
    NodeState.CANCELLED,
    NodeState.SKIPPED,
)


@dataclass
class Box:
    """A node, or many that are alike."""

    seen: list[Seen]
    x: float = 0
    y: float = 0

    @property
    def one(self) -> Seen:
        """The node; of many the first."""
        return self.seen[0]

    @property
    def is_group(self) -> bool:
        """Many nodes."""
        return len(self.seen) > 1

    @property
    def state(self) -> str:
        """The node's; of many the one that matters most."""
        states = {one.state for one in self.seen}
        return next((state for state in _FIRST if state in states), self.one.state)

    @property
    def shape(self) -> str:
        """A sign for the state."""
        return SHAPES.get(self.state, "○")

    @property
    def name(self) -> str:
        """As much of the name as the box has room for."""
        if self.is_group:
            return fitting(f"{len(self.seen)} \N{MULTIPLICATION SIGN} {self.one.node.kind.rpartition('.')[2]}", COLUMNS - 2)
        return fitting(self.one.node.name, COLUMNS - 2)

    @property
    def whole_name(self) -> str:
        """The name."""
        return (
            f"{counted(len(self.seen), 'node')} of kind {plain(self.one.node.kind)}"
            if self.is_group
            else plain(self.one.node.name)
        )

    @property
    def fraction(self) -> float | None:
        """How much of its jobs has ended, where there are many; of a running job what it says itself."""
        if self.is_group:
            return sum(one.node.finished_at is not None for one in self.seen) / len(self.seen)
        if self.one.is_many and self.one.node.jobs:
            return self.one.done / self.one.node.jobs
        return self.one.job.progress if self.one.job is not None and self.state == State.RUNNING else None

    @property
    def bar(self) -> float:
        """The bar's length in the box."""
        return (WIDTH - 24) * min(1.0, max(0.0, self.fraction or 0.0))

    @property
    def below(self) -> str:
        """The second line: state, how many, how long."""
        if self.is_group:
            return fitting(", ".join(f"{number} {state}" for state, number in self.counts.most_common(2)), COLUMNS + 4)
        parts = [self.state]
        if self.one.is_many:
            jobs = self.one.node.jobs
            parts = [f"{self.one.done:,} of {jobs:,}" if self.one.done < jobs else counted(jobs, "job")]
            parts += [f"{self.one.node.failed:,} failed"] if self.one.node.failed else []
        if self.one.seconds is not None and len(parts) < 2:
            parts.append(span(self.one.seconds))
        return fitting(" · ".join(parts), COLUMNS + 4)

    @property
    def counts(self) -> Counter[str]:
        """How many nodes are in which state."""
        return Counter(one.state for one in self.seen)

    @property
    def told(self) -> str:
        """All of it, for who does not see the drawing, and on hover."""
        if self.is_group:
            return f"{self.whole_name}: {', '.join(f'{number} {state}' for state, number in self.counts.items())}"
        parts = [f"{self.whole_name}: {self.state}"]
        if self.one.is_many:
            parts.append(f"{self.one.done:,} of {counted(self.one.node.jobs, 'job')} ended")
        if self.one.seconds is not None:
            parts.append(span(self.one.seconds))
        if self.one.reason:
            parts.append(plain(self.one.reason.text))
        return "; ".join(parts)


@dataclass(frozen=True)
class Line:
    """An edge; ``text`` where it waits for something else than success."""

    path: str
    condition: str
    text: str
    x: float
    y: float
    met: bool | None


@dataclass(frozen=True)
class Drawing:
    """A graph."""

    boxes: list[Box]
    lines: list[Line]
    width: float
    height: float
    #: Lines that are too many to be drawn.
    left_out: int = 0
    conditions: list[str] = field(default_factory=list)
    #: States that occur, with their shapes.
    shown_states: list[tuple[str, str]] = field(default_factory=list)
    box_width: int = WIDTH
    box_height: int = HEIGHT
    bar_width: int = WIDTH - 24

    @property
    def here(self) -> Box | None:
        """What to look at first: what failed, runs, or is the first."""
        for state in (NodeState.FAILED, NodeState.RUNNING):
            for box in self.boxes:
                if box.one.node.state == state:
                    return box
        return self.boxes[0] if self.boxes else None


def draw(seen: Sequence[Seen]) -> Drawing:
    """Draw these nodes, and the edges between them."""
    boxes = _boxes(seen)
    box_of = {one.node.pk: id for id, box in boxes.items() for one in box.seen}
    edges = {
        (box_of[wait.parent.pk], box_of[one.node.pk], wait.condition): wait.met
        for one in seen
        for wait in one.waits
        if wait.parent.pk in box_of
    }
    left_out = len(edges) if len(edges) > LINES else 0
    if left_out:
        edges = {}
    between = tuple(Edge(parent, child, condition) for parent, child, condition in edges)
    layout = lay_out(tuple(boxes), between)
    right = layout.layers * (WIDTH + ALONG), layout.rooms * (HEIGHT + ACROSS)
    down = layout.rooms * (WIDTH + ACROSS), layout.layers * (HEIGHT + ALONG)
    is_down = right[0] > WIDE and down[0] < right[0]
    for id, box in boxes.items():
        box.x, box.y = _corner(layout.spots[id], is_down)
    lines = [
        _line(route, str(edge.bundle), edges[edge.parent, edge.child, str(edge.bundle)], is_down)
        for edge, route in zip(between, layout.routes, strict=True)
        if route
    ]
    width, height = down if is_down else right
    gap = (ACROSS, ALONG) if is_down else (ALONG, ACROSS)
    width, height = round(width - gap[0] + 2 * MARGIN), round(height - gap[1] + 2 * MARGIN)
    used = [condition for condition in FOR if any(line.condition == condition for line in lines)]
    there = {box.state for box in boxes.values()}
    states = [(str(state), shape) for state, shape in SHAPES.items() if state in there]
    return Drawing(list(boxes.values()), lines, width, height, left_out, used, states)


def _boxes(seen: Sequence[Seen]) -> dict[Hashable, Box]:
    """A box for each node; one for those that are alike: one job of a kind each, after the same nodes, before the same."""
    children = defaultdict(list)
    for one in seen:
        for wait in one.waits:
            children[wait.parent.pk].append((one.node.pk, wait.condition))
    groups: dict[Hashable, list[Seen]] = defaultdict(list)
    for one in seen:
        key: Any = one.node.pk
        if one.node.sort == Node.Sort.JOB:
            key = (one.node.kind, frozenset((w.parent.pk, w.condition) for w in one.waits), frozenset(children[one.node.pk]))
        groups[key].append(one)
    boxes: dict[Hashable, Box] = {}
    for group in groups.values():
        for part in [group] if len(group) >= ALIKE else [[one] for one in group]:
            boxes[part[0].node.pk] = Box(part)
    return boxes


def _corner(spot: Spot, is_down: bool) -> tuple[float, float]:
    if is_down:
        return round(MARGIN + spot.middle * (WIDTH + ACROSS) - (WIDTH + ACROSS) / 2, 1), MARGIN + spot.layer * (HEIGHT + ALONG)
    return MARGIN + spot.layer * (WIDTH + ALONG), round(MARGIN + spot.middle * (HEIGHT + ACROSS) - (HEIGHT + ACROSS) / 2, 1)


def _line(route: Sequence[Spot], condition: str, met: bool | None, is_down: bool) -> Line:
    """Through the layers of its stand-ins straight, and between layers in a curve."""
    points = []
    for number, spot in enumerate(route):
        x, y = _corner(spot, is_down)
        here = (x + WIDTH / 2, y) if is_down else (x, y + HEIGHT / 2)
        there = (here[0], here[1] + HEIGHT) if is_down else (here[0] + WIDTH, here[1])
        points.append((here if number else there, there if number < len(route) - 1 else here))
    parts = [f"M{points[0][0][0]:g} {points[0][0][1]:g}"]
    for (_, (x0, y0)), ((x1, y1), (x2, y2)) in pairwise(points):
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        bend = f"{x0:g} {y:g} {x1:g} {y:g}" if is_down else f"{x:g} {y0:g} {x:g} {y1:g}"
        parts.append(f"C{bend} {x1:g} {y1:g}" + (f"L{x2:g} {y2:g}" if (x1, y1) != (x2, y2) else ""))
    (_, (x0, y0)), ((x1, y1), _) = points[-2], points[-1]
    text = "" if condition == Condition.SUCCESS else {COMPENSATES: "takes back", ADDED: ""}.get(condition, f"on {condition}")
    return Line("".join(parts), condition, text, round((x0 + x1) / 2, 1), round((y0 + y1) / 2, 1), met)


def fitting(text: str, columns: int) -> str:
    """The beginning of a text, as wide as so many narrow letters: wide ones and pictures count twice, what is
    drawn upon the letter before not at all."""
    line, used = " ".join(plain(text).split()), 0
    for number, letter in enumerate(line):
        if not unicodedata.combining(letter):
            used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > columns:
            return line[: max(0, number - 1)] + "…"
    return line
