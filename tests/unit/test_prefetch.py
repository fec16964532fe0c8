"""How much a worker claims ahead."""

import pytest
from furrow.worker.pool.prefetch import AHEAD, HELD_AT_FIRST, MOST_HELD, OVERHEAD, WEIGHT, Prefetch
from hypothesis import given
from hypothesis import strategies as st


def test_of_a_kind_never_seen_each_free_process_gets_one() -> None:
    prefetch = Prefetch()
    assert prefetch.cost("new") == AHEAD
    assert prefetch.room(2, [], []) == pytest.approx(2 * AHEAD)
    assert prefetch.room(2, [], ["new"]) == pytest.approx(AHEAD)
    assert prefetch.room(2, [], ["new", "new"]) == pytest.approx(0)
    assert prefetch.room(2, [("new", 0.0)], []) == pytest.approx(AHEAD)


def test_of_a_long_kind_nothing_is_claimed_for_a_busy_process() -> None:
    prefetch = Prefetch()
    prefetch.ran("long", 60)
    assert prefetch.cost("long") == AHEAD
    assert prefetch.room(2, [("long", 0.0), ("long", 30.0)], []) == 0
    assert prefetch.room(2, [("long", 0.0)], ["long"]) == pytest.approx(0)


def test_of_a_short_kind_many_are_claimed_also_for_a_busy_process() -> None:
    prefetch = Prefetch()
    prefetch.ran("short", 0.001)
    room = prefetch.room(1, [("short", 0.0)], [])
    assert room / prefetch.cost("short") == pytest.approx(50)
    assert prefetch.room(1, [], ["short"] * 50) == pytest.approx(0)


def test_a_short_kind_that_takes_long_this_time_blocks_its_process() -> None:
    prefetch = Prefetch()
    prefetch.ran("short", 0.001)
    assert prefetch.room(1, [("short", AHEAD * 2)], []) == 0


def test_a_job_costs_at_least_the_overhead() -> None:
    prefetch = Prefetch()
    prefetch.ran("instant", 0.0)
    assert prefetch.cost("instant") == OVERHEAD


def test_the_average_follows_what_is_measured() -> None:
    prefetch = Prefetch()
    prefetch.ran("k", 0.01)
    prefetch.ran("k", 0.02)
    assert prefetch.cost("k") == pytest.approx(0.01 + WEIGHT * 0.01)
    for _ in range(200):
        prefetch.ran("k", 0.02)
    assert prefetch.cost("k") == pytest.approx(0.02)


@given(st.lists(st.floats(-1, 1e6)), st.integers(1, 64), st.integers(0, 200))
def test_the_room_is_never_more_than_the_processes_can_use(runs: list[float], processes: int, claimed: int) -> None:
    prefetch = Prefetch()
    for seconds in runs:
        prefetch.ran("k", seconds)
    assert OVERHEAD <= prefetch.cost("k") <= AHEAD
    assert prefetch.room(processes, [], ["k"] * claimed) <= processes * AHEAD
    assert prefetch.room(processes, [("k", AHEAD * 2)] * processes, ["k"] * claimed) <= 0


def test_messages_are_held_for_a_second_of_work_of_each_process() -> None:
    prefetch = Prefetch()
    assert prefetch.count(2) == 2 * HELD_AT_FIRST
    prefetch.ran("short", 0.0)
    assert prefetch.count(2) == 2 * MOST_HELD
    for _ in range(100):
        prefetch.ran("middle", 0.05)
    assert 30 <= prefetch.count(2) <= 45
    for _ in range(100):
        prefetch.ran("long", 30)
    assert prefetch.count(2) == 2
