"""Rates in code, on a Redis whose clock is set: a step costs what it hides of the time that passed, no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from furrow import rate_limit
from furrow.locks import client
from furrow.locks.errors import RateLimited
from pytest_django import Settings

from tests import clocks

HOUR = 3600
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock(tmp_path: Path, settings: Settings) -> Iterator[clocks.Clock]:
    """Of a Redis that this process uses."""
    with clocks.clock() as clock:
        server = clocks.ClockedRedis(tmp_path / "redis", clock)
        server.start()
        settings.FURROW = {**settings.FURROW, "REDIS_URL": server.url}
        yield clock
        server.destroy()


def test_a_clock_that_is_set_back_closes_no_rate(clock: clocks.Clock) -> None:
    hourly, quick = rate_limit("hourly", "1/h", burst=3, timeout=0), rate_limit("quick", "5/s", timeout=5)
    hourly.take()
    quick.take()
    clock.set(-HOUR)
    assert quick.take() <= 5, "refused for an hour, if the stored time were believed"
    for _ in range(2):
        assert hourly.take() < 1, "of three, one was used up"
    with pytest.raises(RateLimited) as refused:
        hourly.take()
    assert 0 < refused.value.retry_after <= HOUR


def test_a_clock_that_is_set_back_after_everything_was_lost(clock: clocks.Clock) -> None:
    rate_limit("quick", "5/s", timeout=5).take()
    client.client().flushall()
    rate_limit("quick", "5/s", timeout=5).take()
    clock.set(-HOUR)
    assert rate_limit("another", "5/s", timeout=5).take() <= 5


def test_a_clock_that_is_set_forward_permits_one_burst(clock: clocks.Clock) -> None:
    rate = rate_limit("hourly", "1/h", burst=3, timeout=0)
    for ahead in (0, 10 * HOUR):
        clock.set(ahead)
        for _ in range(3):
            rate.take()
        with pytest.raises(RateLimited):
            rate.take()
