"""Layout of a graph in layers, as Sugiyama, Tagawa and Toda do it. Pure.

Each node is in the layer after the last of its parents. An edge that skips layers leads through a stand-in in each of them,
which edges of the same bundle share. Within a layer nodes are put in order by where their neighbours are, in a few sweeps of
which the one with the fewest crossings counts; then they get coordinates as near to their neighbours as the spacing allows.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

#: Sweeps that order the layers, and that place their nodes.
ORDERING, PLACING = 6, 8
#: The room of a stand-in; a node has 1.
THIN = 0.4


class Edge(NamedTuple):
    """From a node to one that waits for it. Long edges of one parent and one bundle share their way."""

    parent: Hashable
    child: Hashable
    bundle: Hashable = None


class Spot(NamedTuple):
    """Where something is: its layer, and its middle within the layer, in rooms of a node."""

    layer: int
    middle: float


@dataclass(frozen=True)
class Layout:
    """A graph that was laid out. ``routes``: for each edge the spots from parent to child; none where it would lead back."""

    spots: Mapping[Hashable, Spot]
    routes: Sequence[Sequence[Spot]]
    #: Layers; and rooms that the widest of them needs.
    layers: int
    rooms: float


@lru_cache(maxsize=64)
def lay_out(nodes: tuple[Hashable, ...], edges: tuple[Edge, ...]) -> Layout:
    """Lay out these nodes, parents before children as far as they can be told, and the edges between them."""
    layer = _layers(nodes, edges)
    plan = _Plan(layer, [edge for edge in edges if _leads_on(layer, edge)])
    plan.order()
    middles = plan.place()
    spots = {node: Spot(layer[node], middles[node]) for node in nodes}
    routes = []
    for edge in edges:
        way = _way(edge, layer) if _leads_on(layer, edge) else []
        routes.append([Spot(level, middles[item]) for level, item in way])
    rooms = max((spot.middle for spot in spots.values()), default=-0.5) + 0.5
    rooms = max([rooms, *(spot.middle + THIN / 2 for route in routes for spot in route)])
    return Layout(spots, routes, max(layer.values(), default=-1) + 1, rooms)


def _leads_on(layer: Mapping[Hashable, int], edge: Edge) -> bool:
    return edge.parent in layer and edge.child in layer and layer[edge.parent] < layer[edge.child]


def _layers(nodes: Iterable[Hashable], edges: Iterable[Edge]) -> dict[Hashable, int]:
    """The layer after the last parent's; who waits for nobody stands right before the first child. Of a cycle, what closes
    it is left out."""
    parents, children = defaultdict(list), defaultdict(list)
    known = dict.fromkeys(nodes, 0)
    for edge in edges:
        if edge.parent in known and edge.child in known:
            parents[edge.child].append(edge.parent)
            children[edge.parent].append(edge.child)
    left = {node: len(parents[node]) for node in known}
    ready = [node for node in known if not left[node]]
    placed: set[Hashable] = set()
    while len(placed) < len(known):
        if not ready:
            ready.append(next(node for node in known if node not in placed))
        node = ready.pop()
        if node in placed:
            continue
        known[node] = max((known[parent] + 1 for parent in parents[node] if parent in placed), default=0)
        placed.add(node)
        for child in children[node]:
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    for node in known:
        if not parents[node] and children[node]:
            known[node] = max(0, min(known[child] for child in children[node]) - 1)
    return known


def _way(edge: Edge, layer: Mapping[Hashable, int]) -> list[tuple[int, Hashable]]:
    """What an edge leads through, by layer: parent, stand-ins, child."""
    first, last = layer[edge.parent], layer[edge.child]
    between = [(level, ("stand-in", edge.parent, edge.bundle, level)) for level in range(first + 1, last)]
    return [(first, edge.parent), *between, (last, edge.child)]


@dataclass
class _Plan:
    """The layers, with stand-ins, and who is next to whom in the layers beside."""

    layer: Mapping[Hashable, int]
    edges: Sequence[Edge]
    rows: list[list[Hashable]] = field(default_factory=list)
    before: dict[Hashable, list[Hashable]] = field(default_factory=lambda: defaultdict(list))
    after: dict[Hashable, list[Hashable]] = field(default_factory=lambda: defaultdict(list))
    thin: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rows = [[] for _ in range(max(self.layer.values(), default=-1) + 1)]
        links: dict[tuple[Hashable, Hashable], None] = {}
        for edge in self.edges:
            way = _way(edge, self.layer)
            self.thin.update(item for _level, item in way[1:-1])
            links.update(dict.fromkeys((one[1], other[1]) for one, other in pairwise(way)))
        for one, other in links:
            self.after[one].append(other)
            self.before[other].append(one)
        self._fill()

    def _fill(self) -> None:
        """The first order: what hangs together stands together."""
        seen: set[Hashable] = set()
        level = dict(self.layer) | {item: item[3] for item in self.thin}  # type: ignore[index]
        for start in sorted(self.layer, key=lambda node: self.layer[node]):
            stack = [start]
            while stack:
                item = stack.pop()
                if item not in seen:
                    seen.add(item)
                    self.rows[level[item]].append(item)
                    stack += reversed(self.after[item])

    def order(self) -> None:
        """Sweep down and up, and keep the order with the fewest crossings."""
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(ORDERING):
            if not fewest:
                break
            down = sweep % 2 == 0
            beside = self.before if down else self.after
            rows = self.rows[1:] if down else self.rows[-2::-1]
            for row in rows:
                place = self._places()
                middle = {
                    item: sum(place[one] for one in beside[item]) / len(beside[item]) if beside[item] else place[item]
                    for item in row
                }
                row.sort(key=middle.__getitem__)
            if (crossings := self._crossings()) < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _places(self) -> dict[Hashable, float]:
        """From 0 to 1, so that layers of different lengths compare."""
        return {item: (number + 0.5) / len(row) for row in self.rows for number, item in enumerate(row)}

    def _crossings(self) -> int:
        found = 0
        for row, following in pairwise(self.rows):
            place = {item: number for number, item in enumerate(following)}
            seen: list[int] = []
            for item in row:
                ends = sorted(place[other] for other in self.after[item])
                found += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
                for end in ends:
                    insort(seen, end)
        return found

    def place(self) -> dict[Hashable, float]:
        """The middle of each item: as near to the middles of its neighbours as those in its layer allow."""
        middles: dict[Hashable, float] = {}
        for row in self.rows:
            middles.update(zip(row, self._spaced(row, [0.0] * len(row)), strict=True))
        for sweep in range(PLACING):
            down = sweep % 2 == 0
            beside = self.before if down else self.after
            for row in self.rows if down else self.rows[::-1]:
                wanted = [
                    sum(middles[one] for one in beside[item]) / len(beside[item]) if beside[item] else middles[item]
                    for item in row
                ]
                middles.update(zip(row, self._spaced(row, wanted), strict=True))
        least = min((middle - self._room(item) / 2 for item, middle in middles.items()), default=0.0)
        return {item: middle - least for item, middle in middles.items()}

    def _room(self, item: Hashable) -> float:
        return THIN if item in self.thin else 1.0

    def _spaced(self, row: Sequence[Hashable], wanted: Sequence[float]) -> list[float]:
        """The places next to the wanted ones, by least squares, in this order and with their rooms apart (pooled as by isotonic
        regression)."""
        offsets, offset = [], 0.0
        for number, item in enumerate(row):
            offset += (self._room(row[number - 1]) + self._room(item)) / 2 if number else 0.0
            offsets.append(offset)
        pools: list[tuple[float, int]] = []  # sum and number of those that stand as near to each other as they can
        for want, offset in zip(wanted, offsets, strict=True):
            total, count = want - offset, 1
            while pools and pools[-1][0] * count > total * pools[-1][1]:
                total, count = total + pools[-1][0], count + pools[-1][1]
                pools.pop()
            pools.append((total, count))
        level = [total / count for total, count in pools for _ in range(count)]
        return [base + offset for base, offset in zip(level, offsets, strict=True)]
