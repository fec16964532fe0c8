"""Recurrence: the times that a text means in a time zone: cron, an interval, or one time. Imports neither Django nor Celery.

The clocks of a zone are set forward and back, so that a local time may not exist, or exist twice. The rule, of cron:

* Times that do not exist come once, at the first moment after the gap, if the expression names hours (``30 2 * * *``). Where
  every hour matches, the next hour's follow, and nothing is missing.
* Times that exist twice come once, the first time, if the expression names seconds, minutes and hours; each time, where one of
  these fields begins with a star.

Intervals count seconds, which no zone changes.
"""

import datetime as dt
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from furrow.errors import did_you_mean

#: Short names of cron expressions.
NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FORMS = "write cron (0 3 * * *, with seconds 30 0 3 * * *), @hourly, @daily, @every 90s, or @at 2030-01-31T18:00"
#: Characters of a text.
LONGEST = 200
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND, _DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
#: Years in which a day must come: the 29th of February may fall on a Monday every 28 years, over 2100 every 40.
_YEARS = 50
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(?:\d{1,9}[smhdw])+")
_PLURALS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
#: No zone sets its clock twice within this.
_STEADY = dt.timedelta(days=7)
#: How far back the last time is looked for, at first and at most.
_BACK, _LONGEST_BACK = dt.timedelta(minutes=2), dt.timedelta(days=366 * 9)


class RecurrenceError(ValueError):
    """A text that means no times: the reason and the remedy."""


class Recurrence:
    """The times of a schedule. All moments are aware."""

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        """The first time after ``moment``, in UTC; ``None`` when there is none."""
        raise NotImplementedError

    def words(self) -> str:
        """When that is, for people."""
        raise NotImplementedError

    def between(self, start: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
        """The times after ``start`` up to and with ``end``."""
        moment = self.after(start)
        while moment is not None and moment <= end:
            yield moment
            moment = self.after(moment)

    def last(self, moment: dt.datetime, since: dt.datetime) -> dt.datetime | None:
        """The last time up to and with ``moment``, after ``since``; ``None`` when there is none."""
        back = _BACK
        while True:
            start = max(since, moment - back)
            found = next(iter(deque(self.between(start, moment), maxlen=1)), None)
            if found is not None or start == since or back > _LONGEST_BACK:
                return found
            back *= 4


class Cron(Recurrence):
    """A cron expression, in a zone."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        fields = expression.split()
        try:
            self._cron = CronSim(expression, dt.datetime(2000, 1, 1))
            self._words = self._cron.explain()
        except (CronSimError, ValueError) as error:
            raise RecurrenceError(f"{expression!r} is no cron expression ({_reason(error)}); {FORMS}") from None
        times = fields[-5::-1]  # minutes, then seconds; hours come next
        self._seconds, self._minutes, self._hours = map(sorted, (self._cron.seconds, self._cron.minutes, self._cron.hours))
        self._zone, self._names_hours = zone, not fields[-4].startswith("*")
        self._each_time = any(field.startswith("*") for field in (*times, fields[-4]))

    def words(self) -> str:
        return self._words

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        at = moment.astimezone(dt.UTC).replace(microsecond=0)
        try:
            at, offset = at + _SECOND, self._offset(at)
            while True:
                local = self._local(at.replace(tzinfo=None) + offset)
                if local is None:
                    return None
                found = (local - offset).replace(tzinfo=dt.UTC)
                turn = self._turn(at - _SECOND, found, offset)
                if turn is None:
                    if self._each_time or found.astimezone(self._zone).fold == 0:
                        return found
                    at = found + _SECOND
                    continue
                at, offset = turn, self._offset(turn)
                if self._names_hours and local < turn.replace(tzinfo=None) + offset:  # in the gap
                    return turn
        except OverflowError:  # beyond the year 9999
            return None

    def _local(self, start: dt.datetime) -> dt.datetime | None:
        """The first local time from this one on that matches; ``None`` when none of the next decades does."""
        day, last = start.date(), start.year + _YEARS
        if self._matches(day) and (found := self._time(start.time())) is not None:
            return dt.datetime.combine(day, found)
        while day.year <= last:
            day += _DAY
            if day.month not in self._cron.months:
                day = (day.replace(day=1) + 32 * _DAY).replace(day=1) - _DAY
            elif self._matches(day):
                return dt.datetime.combine(day, dt.time(self._hours[0], self._minutes[0], self._seconds[0]))
        return None

    def _matches(self, day: dt.date) -> bool:
        return day.month in self._cron.months and self._cron.match_day(day)

    def _time(self, start: dt.time) -> dt.time | None:
        """The first time of a day from this one on."""
        for hour in self._hours[bisect_left(self._hours, start.hour) :]:
            if hour > start.hour:
                return dt.time(hour, self._minutes[0], self._seconds[0])
            for minute in self._minutes[bisect_left(self._minutes, start.minute) :]:
                if minute > start.minute:
                    return dt.time(hour, minute, self._seconds[0])
                for second in self._seconds[bisect_left(self._seconds, start.second) :]:
                    return dt.time(hour, minute, second)
        return None

    def _offset(self, moment: dt.datetime) -> dt.timedelta:
        return moment.astimezone(self._zone).utcoffset() or dt.timedelta()

    def _turn(self, start: dt.datetime, end: dt.datetime, offset: dt.timedelta) -> dt.datetime | None:
        """The first moment after ``start``, up to and with ``end``, at which the zone's offset is not this one any more."""
        before = start
        while before < end:
            after = min(before + _STEADY, end)
            if self._offset(after) != offset:
                low, high = int(before.timestamp()), int(after.timestamp())
                while high - low > 1:
                    middle = (low + high) // 2
                    if self._offset(EPOCH + middle * _SECOND) == offset:
                        low = middle
                    else:
                        high = middle
                return EPOCH + high * _SECOND
            before = after
        return None


class Interval(Recurrence):
    """Every so many seconds, counted from a moment."""

    def __init__(self, seconds: int, anchor: dt.datetime) -> None:
        self._step, self._anchor = dt.timedelta(seconds=seconds), anchor.astimezone(dt.UTC)

    def words(self) -> str:
        left, parts = int(self._step.total_seconds()), []
        for unit, size in reversed(_UNITS.items()):
            count, left = divmod(left, size)
            parts += [f"{count} {_PLURALS[unit]}s" if count > 1 else _PLURALS[unit]] if count else []
        return "Every " + " ".join(parts if len(parts) == 1 else [f"1 {part}" if " " not in part else part for part in parts])

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        try:
            return self._anchor + self._step * ((moment - self._anchor) // self._step + 1)
        except OverflowError:
            return None


class Once(Recurrence):
    """One time."""

    def __init__(self, moment: dt.datetime) -> None:
        self._moment = moment.astimezone(dt.UTC)

    def words(self) -> str:
        return f"Once, at {self._moment:%Y-%m-%d %H:%M:%S} UTC"

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        return self._moment if self._moment > moment else None


def recurrence(text: str, zone: str, anchor: dt.datetime | None = None) -> Recurrence:
    """What this text means in this zone; intervals count from ``anchor``, or from midnight UTC.

    Raises:
        RecurrenceError: it means no times.
    """
    if not isinstance(text, str):
        raise RecurrenceError(f"{text!r} must be a text: {FORMS}")
    if len(text) > LONGEST:
        raise RecurrenceError(f"{text[:40]!r}… has {len(text):,} characters: {LONGEST} are possible; {FORMS}")
    return _recurrence(text, zone, anchor)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        RecurrenceError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError, TypeError, AttributeError):  # ZoneInfoNotFoundError is a KeyError
        hint = did_you_mean(name, available_timezones()).partition(" Known:")[0]
        hint = "" if hint.startswith("known:") else f" {hint}"
        raise RecurrenceError(f"{name!r} is no time zone: name one such as Europe/Berlin.{hint}") from None


@lru_cache(4_096)
def _recurrence(text: str, zone: str, anchor: dt.datetime | None) -> Recurrence:
    word, _, rest = text.strip().partition(" ")
    if word == "@every":
        return Interval(_seconds(rest.strip()), anchor or EPOCH)
    if word == "@at":
        return Once(_moment(rest.strip(), zone_of(zone)))
    if word.startswith("@") and text.strip() not in NAMES:
        raise RecurrenceError(f"{text!r}: there is no {word}; {FORMS}")
    return Cron(NAMES.get(text.strip(), text.strip()), zone_of(zone))


def every(span: dt.timedelta) -> str:
    """The text of an interval.

    Raises:
        RecurrenceError: it is no whole number of seconds, or less than one.
    """
    if span < _SECOND or span.microseconds:
        raise RecurrenceError(f"{span} must be a whole number of seconds, 1 at least")
    return f"@every {int(span.total_seconds())}s"


def _seconds(text: str) -> int:
    if not _SPAN.fullmatch(text):
        raise RecurrenceError(f"@every {text!r}: write how long, such as 90s, 15m, 1h30m, 2d")
    seconds = sum(int(part[:-1]) * _UNITS[part[-1]] for part in re.findall(r"\d+[smhdw]", text))
    if not 1 <= seconds <= 366 * 86_400:
        raise RecurrenceError(f"@every {text!r}: from one second to a year is possible")
    return seconds


def _moment(text: str, zone: ZoneInfo) -> dt.datetime:
    """The time, in the zone where it has none of its own; one that does not exist there is the first after the gap."""
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            local, moment = moment, moment.replace(tzinfo=zone)
            if moment.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != local:
                cron = Cron(f"{local.second} {local.minute} {local.hour} {local.day} {local.month} *", zone)
                return cron.after(moment.astimezone(dt.UTC) - dt.timedelta(days=1)) or moment
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise RecurrenceError(f"@at {text!r} is no time: write it as 2030-01-31T18:00, or with a zone, …+01:00") from None


def _reason(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
