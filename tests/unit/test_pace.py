"""How much a worker claims ahead."""

import pytest
from furrow.worker.pool.pace import AHEAD, HELD_AT_FIRST, MOST_HELD, OVERHEAD, WEIGHT, Pace
from hypothesis import given
from hypothesis import strategies as st


def test_of_a_kind_never_seen_each_free_process_gets_one() -> None:
    pace = Pace()
    assert pace.cost("new") == AHEAD
    assert pace.room(2, [], []) == pytest.approx(2 * AHEAD)
    assert pace.room(2, [], ["new"]) == pytest.approx(AHEAD)
    assert pace.room(2, [], ["new", "new"]) == pytest.approx(0)
    assert pace.room(2, [("new", 0.0)], []) == pytest.approx(AHEAD)


def test_of_a_long_kind_nothing_is_claimed_for_a_busy_process() -> None:
    pace = Pace()
    pace.ran("long", 60)
    assert pace.cost("long") == AHEAD
    assert pace.room(2, [("long", 0.0), ("long", 30.0)], []) == 0
    assert pace.room(2, [("long", 0.0)], ["long"]) == pytest.approx(0)


def test_of_a_short_kind_many_are_claimed_also_for_a_busy_process() -> None:
    pace = Pace()
    pace.ran("short", 0.001)
    room = pace.room(1, [("short", 0.0)], [])
    assert room / pace.cost("short") == pytest.approx(50)
    assert pace.room(1, [], ["short"] * 50) == pytest.approx(0)


def test_a_short_kind_that_takes_long_this_time_blocks_its_process() -> None:
    pace = Pace()
    pace.ran("short", 0.001)
    assert pace.room(1, [("short", AHEAD * 2)], []) == 0


def test_a_job_costs_at_least_the_overhead() -> None:
    pace = Pace()
    pace.ran("instant", 0.0)
    assert pace.cost("instant") == OVERHEAD


def test_the_average_follows_what_is_measured() -> None:
    pace = Pace()
    pace.ran("k", 0.01)
    pace.ran("k", 0.02)
    assert pace.cost("k") == pytest.approx(0.01 + WEIGHT * 0.01)
    for _ in range(200):
        pace.ran("k", 0.02)
    assert pace.cost("k") == pytest.approx(0.02)


@given(st.lists(st.floats(-1, 1e6)), st.integers(1, 64), st.integers(0, 200))
def test_the_room_is_never_more_than_the_processes_can_use(runs: list[float], processes: int, claimed: int) -> None:
    pace = Pace()
    for seconds in runs:
        pace.ran("k", seconds)
    assert OVERHEAD <= pace.cost("k") <= AHEAD
    assert pace.room(processes, [], ["k"] * claimed) <= processes * AHEAD
    assert pace.room(processes, [("k", AHEAD * 2)] * processes, ["k"] * claimed) <= 0


def test_messages_are_held_for_a_second_of_work_of_each_process() -> None:
    pace = Pace()
    assert pace.prefetch(2) == 2 * HELD_AT_FIRST
    pace.ran("short", 0.0)
    assert pace.prefetch(2) == 2 * MOST_HELD
    for _ in range(100):
        pace.ran("middle", 0.05)
    assert 30 <= pace.prefetch(2) <= 45
    for _ in range(100):
        pace.ran("long", 30)
    assert pace.prefetch(2) == 2
