"""Quantiles from buckets, bars from counts."""

import datetime as dt
import random
from bisect import bisect_right
from collections import Counter

import pytest
from furrow.monitoring.charts import ABOVE, BELOW, chart, sparkline
from furrow.monitoring.rates import Point, quantile
from furrow.statements.rollups import BOUNDS, GRAINS, before

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def bucketed(values: list[float]) -> Counter[int]:
    return Counter(bisect_right(BOUNDS, value) for value in values)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_quantile_is_exact_to_its_bucket(share: float) -> None:
    source = random.Random(7)
    values = sorted(source.lognormvariate(0, 3) for _ in range(5_000))
    exact = values[int(share * len(values))]
    found = quantile(bucketed(values), share)
    assert found is not None
    assert exact / 3 < found < exact * 3
    # Within a bucket they are not spread evenly, but near enough.
    assert abs(bisect_right(BOUNDS, found) - bisect_right(BOUNDS, exact)) <= 1


def test_quantiles_of_nothing_of_little_and_of_the_ends() -> None:
    assert quantile(Counter(), 0.5) is None
    assert quantile(bucketed([0.0]), 0.95) == pytest.approx(0.001, rel=0.1)
    assert quantile(bucketed([10 * 86400.0]), 0.5) > BOUNDS[-1]  # type: ignore[operator]
    one = quantile(bucketed([0.3]), 0.5)
    assert one is not None
    assert 0.2 < one < 0.5


def test_each_grain_is_rolled_into_the_next_at_whole_spans() -> None:
    for grain, following in zip(GRAINS, [*GRAINS[1:], None], strict=True):
        assert grain.into == (following.seconds if following else 0)
        assert before(grain, 1_000_000_007.5) % (grain.into or grain.seconds) == 0
        assert before(grain, 1_000_000_007.5) <= 1_000_000_007.5 - grain.after


def test_a_chart_has_a_bar_a_step_and_says_its_numbers() -> None:
    points = [Point(NOW - dt.timedelta(minutes=n)) for n in range(59, -1, -1)]
    points[10].succeeded, points[20].failed, points[30].retried, points[40].succeeded = 1_200, 3, 6, 1
    drawn = chart("Last hour", points, 60)
    assert len(drawn.bars) == 60
    assert (drawn.ended, drawn.failed, drawn.most_ended, drawn.most_failed) == (1_204, 9, "1,200", "6")
    assert drawn.bars[10].ended == ABOVE
    assert drawn.bars[10].text == "02:15: 1,200 succeeded"
    assert (drawn.bars[20].failed, drawn.bars[30].failed) == (BELOW / 2, BELOW)
    assert 0 < drawn.bars[40].ended < 2, "never so little that it cannot be seen"
    assert drawn.up == "M60 80v-80h5v80zM120 80v-1.5h5v1.5zM240 80v-1.5h5v1.5z"
    assert drawn.down == "M120 80v15h5v-15zM180 80v30h5v-30z"
    assert drawn.bars[0].text.endswith("nothing ended")
    assert drawn.labels == ["02:05", "02:20", "02:35", "02:49", "now"]


def test_a_chart_of_nothing() -> None:
    drawn = chart("Last hour", [Point(NOW)] * 60, 60)
    assert not any(bar.ended or bar.failed for bar in drawn.bars)
    assert drawn.up == drawn.down == sparkline([0] * 5)["path"] == ""
    assert sparkline([0, 2, 4])["path"] == "M4 24v-12h3v12zM8 24v-24h3v24z"
