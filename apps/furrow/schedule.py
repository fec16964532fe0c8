"""Schedules: how a team says in code when jobs of a kind are submitted.

``Schedule("0 3 * * *", timezone="Europe/Berlin")`` stands at ``@job(schedule=…)``, or by its name in ``FURROW["SCHEDULES"]``;
docs/schedules.md says what it promises. Imports neither Django nor Celery: settings may import it.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from furrow.recurrence import RecurrenceError, every, recurrence, zone_of


class CatchUp(StrEnum):
    """Which of the times that were missed get a job."""

    ONE = "one"
    ALL = "all"
    NONE = "none"


class Overlap(StrEnum):
    """What happens at a time whose predecessor's job has not ended."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel"


#: The longest that a name may be; the longest window and jitter, in seconds.
LONGEST_NAME, LONGEST_WINDOW, LONGEST_JITTER = 200, 366 * 86_400, 86_400
#: Options of a submit that a schedule may have.
OPTIONS = ("queue", "priority", "max_attempts", "expires", "tags", "meta")


@dataclass(frozen=True)
class Schedule:
    """When jobs are submitted, of which kind, and with which arguments::

    @job(schedule=Schedule("0 3 * * *", timezone="Europe/Berlin", arguments={"days": 1}))
    def report(days: int) -> None: ...
    """

    #: A cron expression, with seconds or without; ``@hourly``, ``@daily``, …; ``@every 90s`` or a timedelta; ``@at
    #: 2030-01-31T18:00`` or a datetime.
    timing: str | dt.timedelta | dt.datetime
    #: The kind's name; the decorated one's at ``@job``.
    kind: str = ""
    #: Its arguments by name.
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: Its own name; of a kind's only schedule the kind's.
    name: str = ""
    #: Where its hours are; ``None``: ``settings.TIME_ZONE``.
    timezone: str | None = None
    #: Of times that were missed by more than a minute: ``"one"`` job for all, ``"all"``, or ``"none"``; for those that were
    #: missed within this window.
    catch_up: str = CatchUp.ONE
    window: dt.timedelta = dt.timedelta(days=1)
    #: When its last job has not ended: ``"allow"`` another beside it, ``"skip"`` this time, ``"queue"`` the job behind the last
    #: one, or ``"cancel"`` the last one.
    overlap: str = Overlap.ALLOW
    #: Submit up to this much later, always the same for one name, so that not everything begins at the full hour.
    jitter: dt.timedelta = dt.timedelta(0)
    #: No time before, and none after.
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None
    #: Options of :func:`furrow.submit`; the kind's own where they say nothing.
    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    expires: dt.timedelta | float | None = None
    tags: Collection[str] = ()
    meta: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def text(self) -> str:
        """Its timing as text.

        Raises:
            RecurrenceError: it has none.
        """
        if isinstance(self.timing, dt.timedelta):
            return every(self.timing)
        if isinstance(self.timing, dt.datetime):
            return f"@at {self.timing.isoformat()}"
        return self.timing

    @property
    def options(self) -> dict[str, Any]:
        """The options of a submit that it has, as JSON knows them."""
        given = {name: value for name in OPTIONS if (value := getattr(self, name)) is not None and value != ()}
        if isinstance(self.expires, dt.timedelta):
            given["expires"] = self.expires.total_seconds()
        return given | ({"tags": list(self.tags)} if self.tags else {})

    def problem(self) -> str:
        """What is wrong with the declaration; empty when nothing is."""
        for name in ("kind", "name", "catch_up", "overlap"):
            if not isinstance(getattr(self, name), str):
                return f"{name}={getattr(self, name)!r} must be a text"
        if len(self.name) > LONGEST_NAME or "\0" in self.name:
            return f"name={self.name[:60]!r}… may have {LONGEST_NAME} characters"
        if not isinstance(self.arguments, Mapping):
            return f"arguments={self.arguments!r} must be a dict, such as {{'days': 1}}"
        try:
            if self.timezone is not None:
                zone_of(self.timezone)
            recurrence(self.text, self.timezone or "UTC")
        except RecurrenceError as error:
            return str(error)
        for name, choices in (("catch_up", CatchUp), ("overlap", Overlap)):
            if getattr(self, name) not in [*choices]:
                return f"{name}={getattr(self, name)!r} must be {' or '.join(repr(str(one)) for one in choices)}"
        for name, longest in (("window", LONGEST_WINDOW), ("jitter", LONGEST_JITTER)):
            span = getattr(self, name)
            if not isinstance(span, dt.timedelta) or not 0 <= span.total_seconds() <= longest:
                return f"{name}={span!r} must be a timedelta from 0 to {dt.timedelta(seconds=longest)}"
        for name in ("starts_at", "ends_at"):
            moment = getattr(self, name)
            if moment is not None and (not isinstance(moment, dt.datetime) or moment.tzinfo is None):
                return f"{name}={moment!r} must be a datetime with a time zone"
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            return "ends_at must be after starts_at"
        return ""
