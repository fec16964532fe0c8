"""Where looks at the table begin."""

import pytest
from furrow.dispatcher import cursor
from furrow.dispatcher.cursor import FULL, LAG, SHARE, Cursor


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cursor, "time", clock)
    return clock


def looks(mark: Cursor[int], clock: Clock, reached: int, takes: float = 0.0) -> int:
    """Where a look began that reached so far."""

    def at(since: int) -> tuple[int, int]:
        clock.now += takes
        return since, reached

    return mark.look(at)


def test_the_first_look_begins_at_the_beginning_and_later_ones_lag_behind(clock: Clock) -> None:
    mark = Cursor(0)
    clock.now += LAG
    assert looks(mark, clock, 10, takes=100.0) == 0  # slow: the next full look is far away
    assert looks(mark, clock, 20) == 0
    clock.now += LAG
    assert looks(mark, clock, 30) == 10 == mark.since
    clock.now += LAG
    assert looks(mark, clock, 40) == 20
    assert looks(mark, clock, 50) == 20


def test_every_so_often_a_look_begins_at_the_beginning(clock: Clock) -> None:
    mark = Cursor(0)
    for _ in range(5):
        looks(mark, clock, 10)
        clock.now += FULL
        assert looks(mark, clock, 10) == 0


def test_a_slow_full_look_has_its_share_of_the_time_and_no_more(clock: Clock) -> None:
    mark = Cursor(0)
    looks(mark, clock, 10, takes=1.0)
    begins = []
    for _ in range(100):
        clock.now += 0.5
        begins.append(looks(mark, clock, 10))
    assert begins.index(0, 10) == pytest.approx((SHARE - 1) / 0.5, abs=2)
