"""Watching a census: pace, patience, what is shown. The clock and the database's answers are arguments of the test."""

import io
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from furrow import Job, Situation, State
from rich.console import Console

from tasks.management import following
from tasks.management.display import Bar, Lines, describe, display_on, duration
from tasks.management.following import Look, Pace, Stalled, Standing, follow, obstacles, percentile

BATCH = uuid.uuid4()
WAITING = Standing({"pending": 8, "running": 2}, "pending")
DONE = Standing({"succeeded": 9, "failed": 1}, "succeeded")


class Clock:
    """Seconds that pass only while somebody sleeps."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the database answers: the standings, one a look (the last one for ever), and the troubles."""
    given = SimpleNamespace(standings=[WAITING], troubles=[])

    def standing(batch: uuid.UUID) -> Standing:
        answer = given.standings.pop(0) if len(given.standings) > 1 else given.standings[0]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(following, "standing", standing)
    monkeypatch.setattr(following, "troubles", lambda batch: list(given.troubles))
    monkeypatch.setattr(following, "_no_cause", lambda: "no cause")
    monkeypatch.setattr(following, "close_old_connections", lambda: None)
    return given


def watch(patience: float = 60) -> Iterator[tuple[float, Look]]:
    """The looks, with the seconds at which they were taken."""
    clock = Clock()
    for look in follow(BATCH, patience=patience, clock=clock, sleep=clock.sleep):
        yield clock.now - 1000, look


def test_it_ends_with_the_report(database: SimpleNamespace) -> None:
    database.standings = [WAITING, Standing({"succeeded": 9, "failed": 1}, "running"), DONE]
    looks = [look for _, look in watch()]
    assert [look.standing.ended for look in looks] == [0, 10, 10]
    assert looks[-1].standing.report == "succeeded"


def test_a_report_that_failed_ends_it_too(database: SimpleNamespace) -> None:
    database.standings = [Standing({"succeeded": 9, "pending": 1}, "failed")]
    assert len(list(watch())) == 1


def test_with_a_cause_patience_is_what_was_asked_for(database: SimpleNamespace) -> None:
    database.troubles = ["No dispatcher leads."]
    looks: list[tuple[float, Look]] = []
    with pytest.raises(Stalled, match=r"No job of this census ended for 20 s\. No dispatcher leads\."):
        looks.extend(watch(patience=20))
    assert looks[-1][0] == 20


def test_without_a_cause_patience_is_longer(database: SimpleNamespace) -> None:
    looks: list[tuple[float, Look]] = []
    with pytest.raises(Stalled, match="no cause"):
        looks.extend(watch(patience=20))
    assert looks[-1][0] == 100


def test_troubles_are_asked_for_only_when_nothing_moves(database: SimpleNamespace) -> None:
    database.troubles = ["trouble"]
    moving = [Standing({"succeeded": n, "pending": 20 - n}, "pending") for n in range(20)]
    database.standings = [*moving, *[moving[-1]] * 10, DONE]
    troubled = [seconds for seconds, look in watch() if look.trouble]
    assert troubled
    assert min(troubled) == pytest.approx(19 * 0.5 + following.STILL)


def test_every_end_gives_new_patience(database: SimpleNamespace) -> None:
    database.troubles = ["slow"]
    steps = [Standing({"succeeded": n, "pending": 5 - n}, "pending") for n in range(5) for _ in range(30)]
    database.standings = [*steps, DONE]
    assert len(list(watch(patience=20))) == 151


def test_a_database_that_is_away_for_a_while(database: SimpleNamespace) -> None:
    database.standings = [WAITING, OperationalError("connection refused\n"), DONE]
    looks = [look for _, look in watch()]
    assert looks[1].trouble == ("The database is away: connection refused",)
    assert looks[1].standing == WAITING
    assert looks[2].standing == DONE


def test_a_database_that_stays_away(database: SimpleNamespace) -> None:
    database.standings = [OperationalError("gone")]
    with pytest.raises(Stalled, match="The database is away: gone"):
        list(watch(patience=10))


def test_pace() -> None:
    pace = Pace(window=10)
    assert pace.rate(0, 0) == 0
    assert pace.rate(5, 50) == 10
    assert pace.rate(10, 50) == 5
    assert pace.rate(20, 50) == 0
    assert pace.rate(20, 50) == 0


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (Situation(), []),
        (Situation(dispatcher_leads=False), ["No dispatcher leads"]),
        (Situation(dispatcher_trouble="RabbitMQ is away: refused"), ["The dispatcher says: RabbitMQ is away: refused."]),
        (Situation(consumers=0, knowing=0), ["No living worker consumes the queue 'default'"]),
        (Situation(knowing=0), ["No living worker of the queue 'default' knows census.measure"]),
        (Situation(dispatcher_leads=False, consumers=0), ["No dispatcher leads", "No living worker"]),
    ],
)
def test_obstacles(around: Situation, expected: list[str]) -> None:
    found = obstacles(Job(kind="census.measure", queue="default"), around)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([7.0], 99, 7.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), ([float(n) for n in range(1, 101)], 99, 99.0)],
)
def test_percentile(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0351, "35 ms"), (0.9999, "1.0 s"), (4.24, "4.2 s"), (42.4, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_describe() -> None:
    states: dict[str, int] = {State.SUCCEEDED: 1_000, State.FAILED: 3, State.CANCELLED: 1, State.RUNNING: 8, State.QUEUED: 988}
    now = Standing(states, "pending")
    assert describe(Look(now, 100.0)) == "1,004/2,000 done, 4 failed, 8 running, 100/s, 10 s to go"
    assert describe(Look(now, 0.0)) == "1,004/2,000 done, 4 failed, 8 running, 0/s"
    assert describe(Look(DONE, 5.0)) == "10/10 done, 1 failed, report succeeded"


def test_without_a_terminal_a_line_now_and_then() -> None:
    out = io.StringIO()
    display = display_on(Console(file=out, width=100))
    assert isinstance(display, Lines)
    with display:
        for second in range(13):
            display.show(Look(WAITING, 0.0, ("Rabbit [bold]away[/bold].",) if second == 7 else ()), second)
        display.show(Look(DONE, 0.0), 13)
    assert [line[:6].strip() for line in out.getvalue().splitlines()] == ["0 s", "5 s", "7 s", "Rabbit", "8 s", "13 s"]
    assert "[bold]" in out.getvalue()


def test_in_a_terminal_a_bar_with_troubles_above_it() -> None:
    out = io.StringIO()
    display = display_on(Console(file=out, width=80, force_terminal=True))
    assert isinstance(display, Bar)
    with display:
        display.show(Look(WAITING, 0.0, ("No worker lives.",)), 1)
        display.show(Look(WAITING, 0.0, ("No worker lives.",)), 2)
        display.show(Look(DONE, 0.0), 3)
    assert out.getvalue().count("No worker lives.") == 1
    assert "10/10 done, 1 failed, report succeeded" in out.getvalue()
