"""When a text means: ten years in five zones against an oracle that walks through every minute, and the texts themselves."""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from furrow.recurrence import RecurrenceError, recurrence, zone_of

#: Clocks are set at 1:00 UTC, at 2:00 local time in the other hemisphere, by half an hour, at midnight, and never.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata"]
#: Each expression with its fields as sets, for the oracle: minutes, hours, days, months, weekdays (Monday is 0).
ALL = [frozenset(range(60)), frozenset(range(24)), frozenset(range(1, 32)), frozenset(range(1, 13)), frozenset(range(7))]
YEARS = (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2034, 1, 1, tzinfo=dt.UTC))
MINUTE = dt.timedelta(minutes=1)


def fields(minutes: range | set[int], hours: range | set[int], **others: set[int]) -> list[frozenset[int]]:
    """Those of an expression that names these."""
    found = [frozenset(minutes), frozenset(hours), *ALL[2:]]
    for name, value in others.items():
        found[{"days": 2, "months": 3, "weekdays": 4}[name]] = frozenset(value)
    return found


EXPRESSIONS = {
    "30 2 * * *": fields({30}, {2}),
    "0 0 * * *": fields({0}, {0}),
    "15,45 1-3 * * *": fields({15, 45}, range(1, 4)),
    "*/15 2 * * *": fields(range(0, 60, 15), {2}),
    # Clocks are set on Sundays.
    "0 * * * SUN": fields({0}, range(24), weekdays={6}),
    "*/20 * * 3,4,10,11 SUN": fields(range(0, 60, 20), range(24), months={3, 4, 10, 11}, weekdays={6}),
    "10 */6 * * *": fields({10}, range(0, 24, 6)),
    "0 3 1 * *": fields({0}, {3}, days={1}),
    "30 1 * 3,10,11 SUN": fields({30}, {1}, months={3, 10, 11}, weekdays={6}),
}


@cache
def shifts(zone: str) -> list[tuple[dt.datetime, dt.timedelta, dt.timedelta]]:
    """Each moment of ten years, to the minute, from which on the zone has another offset: the one before and the one after."""
    local = ZoneInfo(zone)
    found, at = [], YEARS[0] - dt.timedelta(days=2)
    while at < YEARS[1]:
        before, after = at.astimezone(local).utcoffset(), (at + dt.timedelta(hours=6)).astimezone(local).utcoffset()
        if before != after:
            turn = at
            while turn.astimezone(local).utcoffset() == before:
                turn += MINUTE
            assert before is not None
            assert after is not None
            found.append((turn, before, after))
        at += dt.timedelta(hours=6)
    return found


@cache
def oracle(zone: str, expression: str) -> tuple[dt.datetime, ...]:
    """The times of ten years, in their order."""
    return tuple(sorted({*_oracle(zone, expression)}))


def _oracle(zone: str, expression: str) -> Iterator[dt.datetime]:
    """By the rule as the guide has it, for each stretch between two shifts: every matching minute of every day. Those of a gap
    become its end, those of a repeated stretch come again or not."""
    minutes, hours, days, months, weekdays = EXPRESSIONS[expression]
    words = expression.split()
    again, names_hours = words[0].startswith("*") or words[1].startswith("*"), not words[1].startswith("*")
    begin, offset = YEARS[0] - dt.timedelta(days=2), YEARS[0].astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    seen_to = dt.datetime.min  # the latest local time that the zone's clocks have shown
    for end, _, after in [*shifts(zone), (YEARS[1], offset, offset)]:
        local, local_end = (begin + offset).replace(tzinfo=None), (end + offset).replace(tzinfo=None)
        for day in range((local_end.date() - local.date()).days + 1):
            date = local.date() + dt.timedelta(days=day)
            if date.day not in days or date.month not in months or date.weekday() not in weekdays:
                continue
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    moment = dt.datetime.combine(date, dt.time(hour, minute))
                    if local <= moment < local_end and (again or moment >= seen_to):
                        yield moment.replace(tzinfo=dt.UTC) - offset
        seen_to = max(seen_to, local_end)
        gap = [local_end + MINUTE * n for n in range(int((after - offset) / MINUTE))]
        if names_hours and any(
            one.minute in minutes
            and one.hour in hours
            and one.day in days
            and one.month in months
            and one.weekday() in weekdays
            for one in gap
        ):
            yield end
        begin, offset = end, after


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("zone", ZONES)
def test_ten_years_are_the_oracles(zone: str, expression: str) -> None:
    (start, end), wanted = YEARS, oracle(zone, expression)
    right = wanted[bisect_right(wanted, start) : bisect_left(wanted, end)]
    assert tuple(recurrence(expression, zone).between(start, end - dt.timedelta(microseconds=1))) == right


def test_from_any_moment_around_a_shift_the_next_time_is_the_oracles() -> None:
    for zone in ZONES[:4]:
        for expression in EXPRESSIONS:
            times = oracle(zone, expression)
            found = recurrence(expression, zone)
            for turn, _, _ in shifts(zone)[:4]:
                for second in (-5400, -1801, -61, -1, 0, 1, 1799, 1800, 3599, 3600):
                    at = turn + dt.timedelta(seconds=second)
                    assert found.after(at) == times[bisect_right(times, at)], (zone, expression, at)


def utc(text: str) -> dt.datetime:
    """A moment."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def first(text: str, after: str, zone: str = "UTC", many: int = 3) -> list[str]:
    """The first times of a text."""
    found, moment, times = recurrence(text, zone), utc(after), []
    for _ in range(many):
        next_one = found.after(moment)
        if next_one is None:
            break
        moment = next_one
        times.append(f"{moment:%Y-%m-%d %H:%M:%S}")
    return times


def test_seconds_are_optional() -> None:
    assert first("*/20 30 4 * * *", "2026-01-01") == ["2026-01-01 04:30:00", "2026-01-01 04:30:20", "2026-01-01 04:30:40"]


def test_a_fixed_time_with_seconds_keeps_the_rule() -> None:
    assert first("30 30 2 * * *", "2026-03-28T12:00", "Europe/Berlin", 2) == ["2026-03-29 01:00:00", "2026-03-30 00:30:30"]
    assert first("30 30 2 * * *", "2026-10-24T12:00", "Europe/Berlin", 2) == ["2026-10-25 00:30:30", "2026-10-26 01:30:30"]


def test_intervals_count_from_midnight_utc_or_their_start() -> None:
    assert first("@every 90s", "2026-01-01T00:00:10", many=2) == ["2026-01-01 00:01:30", "2026-01-01 00:03:00"]
    anchored = recurrence("@every 1d", "UTC", utc("2026-01-01T07:30"))
    assert anchored.after(utc("2026-02-01")) == utc("2026-02-01T07:30")
    assert anchored.after(utc("2025-06-01")) == utc("2025-06-01T07:30")


def test_one_time_comes_once_and_one_that_does_not_exist_after_the_gap() -> None:
    assert first("@at 2026-07-01T12:00", "2026-01-01", "Europe/Berlin") == ["2026-07-01 10:00:00"]
    assert first("@at 2026-07-01T12:00+00:00", "2026-01-01", "Europe/Berlin") == ["2026-07-01 12:00:00"]
    assert first("@at 2026-03-29T02:30", "2026-01-01", "Europe/Berlin") == ["2026-03-29 01:00:00"]


def test_what_never_comes_has_no_time() -> None:
    assert recurrence("0 0 29 2 *", "UTC").after(utc("9996-03-01")) is None
    assert recurrence("@at 2026-01-01T00:00", "UTC").after(utc("2026-01-01")) is None


@pytest.mark.parametrize("text", ["0 3 * * *", "*/7 * * * * *", "@every 45s", "@monthly", "0 0 29 2 *"])
def test_the_last_time_is_the_one_before_the_next(text: str) -> None:
    found, since, now = recurrence(text, "Europe/Berlin"), utc("2020-01-01"), utc("2026-05-05T05:05:05")
    last = found.last(now, since)
    assert last is not None
    assert last <= now
    assert found.after(last) == found.after(now)
    assert found.last(now, now) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 3 * * *", "At 03:00 every day"),
        ("@hourly", "At the start of every hour"),
        ("@every 90s", "Every 1 minute 30 seconds"),
        ("@every 1h", "Every hour"),
        ("@every 15m", "Every 15 minutes"),
    ],
)
def test_words(text: str, words: str) -> None:
    assert recurrence(text, "UTC").words() == words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("61 * * * *", "bad minute"),
        ("* * *", "wrong number of fields"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("@evry 90s", "there is no @evry"),
        ("@every 0s", "from one second to a year"),
        ("@every soon", "write how long, such as 90s"),
        ("@at noon", "write it as 2030-01-31T18:00"),
        ("", "is no cron expression"),
        ("0-59," * 5_000 + "1 * * * *", "200 are possible"),
        ("9" * 4_400 + " * * * *", "200 are possible"),
        (["0 3 * * *"], "must be a text"),
    ],
)
def test_a_text_that_means_nothing_says_why(text: str, reason: str) -> None:
    with pytest.raises(RecurrenceError, match=reason):
        recurrence(text, "UTC")


def test_a_zone_that_is_none_gets_a_hint() -> None:
    with pytest.raises(RecurrenceError, match="did you mean 'Europe/Berlin'"):
        zone_of("Europe/Berln")
