"""The layout of a workflow's graph: layers, order, room, and what it does with what cannot be."""

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import pytest
from furrow.admin.workflows.layout import THIN, Edge, Layout, lay_out


def laid(nodes: Sequence[str], *edges: str) -> Layout:
    """From edges such as ``ab``."""
    return lay_out(tuple(nodes), tuple(Edge(*edge) for edge in edges))


def crossings(layout: Layout) -> int:
    segments = {pair for route in layout.routes for pair in pairwise(route)}
    found = 0
    for one, other in ((one, other) for one in segments for other in segments if one < other):
        if one[0].layer == other[0].layer:
            found += (one[0].middle - other[0].middle) * (one[1].middle - other[1].middle) < -1e-9
    return found


def overlaps(layout: Layout) -> int:
    """Nodes of one layer that have less than their room."""
    rows = defaultdict(list)
    for spot in layout.spots.values():
        rows[spot.layer].append(spot.middle)
    return sum(b - a < 1 - 1e-9 for row in rows.values() for a, b in pairwise(sorted(row)))


def test_a_node_is_in_the_layer_after_the_last_that_it_waits_for() -> None:
    layout = laid("abcd", "ab", "bc", "ac", "cd")
    assert [layout.spots[node].layer for node in "abcd"] == [0, 1, 2, 3]
    assert [len(route) for route in layout.routes] == [2, 2, 3, 2]
    assert layout.layers == 4


def test_a_chain_is_straight_and_a_long_edge_goes_around_its_nodes() -> None:
    layout = laid("abcd", "ab", "bc", "cd")
    assert len({spot.middle for spot in layout.spots.values()}) == 1
    assert (layout.layers, layout.rooms) == (4, 1.0)
    layout = laid("abc", "ab", "bc", "ac")
    through = layout.routes[2][1].middle
    assert abs(through - layout.spots["b"].middle) >= (1 + THIN) / 2 - 1e-9


def test_lines_that_need_not_cross_do_not() -> None:
    layout = laid("abcdef", "af", "be", "cd")
    assert crossings(layout) == 0
    layout = laid("rabcxyz", "ra", "rb", "rc", "az", "by", "cx")
    assert crossings(layout) == 0


def test_who_waits_for_nobody_stands_right_before_its_child() -> None:
    layout = laid("abcs", "ab", "bc", "sc")
    assert layout.spots["s"].layer == 1


def test_nothing_and_what_cannot_be_do_not_break_it() -> None:
    assert laid("").layers == 0
    assert laid("a").rooms == 1.0
    assert laid("ab", "ab", "ba").layers == 2  # a cycle: one of its edges is not drawn
    assert laid("ab", "ax", "yb").layers == 1  # edges to what is not here
    assert laid("a", "aa").spots["a"].layer == 0


@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_nodes_have_their_room_and_every_line_leads_on(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(300)]
    edges = {
        (names[chance.randrange(max(0, n - 30), n)], names[n]) for n in range(1, 300) for _ in range(chance.choice([1, 1, 2]))
    }
    layout = lay_out(tuple(names), tuple(Edge(*edge) for edge in sorted(edges)))
    assert overlaps(layout) == 0
    assert all(spot.middle >= 0.5 - 1e-9 for spot in layout.spots.values())
    assert max(spot.middle for spot in layout.spots.values()) + 0.5 <= layout.rooms + 1e-9
    for edge, route in zip(sorted(edges), layout.routes, strict=True):
        assert (route[0], route[-1]) == (layout.spots[edge[0]], layout.spots[edge[1]])
        assert [spot.layer for spot in route] == list(range(route[0].layer, route[-1].layer + 1))
