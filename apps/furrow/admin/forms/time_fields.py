"""Form fields for dates, times and spans of time."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.forms.utils import from_current_timezone
from django.utils import timezone
from django.utils.dateparse import parse_duration

from furrow.admin import theme
from furrow.admin.forms.fields import ArgumentField, WordField


class TimeField(WordField):
    """A date or a time of day, in the browser's own input."""

    def __init__(self, input_type: str, convert: Callable[[str], Any], **options: Any) -> None:
        self.kind_of_input = input_type
        super().__init__(convert, **options)

    def make_widget(self) -> Any:
        step = {"step": 1} if self.kind_of_input == "time" else {}
        return theme.TextInput({"type": self.kind_of_input, **step})


def with_zone(moment: dt.datetime) -> dt.datetime:
    """A time that Django's forms leave naive in a project with ``USE_TZ = False``: a local one."""
    return moment if moment.tzinfo else timezone.make_aware(moment)


class MomentField(ArgumentField):
    """A date and a time in the current time zone."""

    kind_of_input = "datetime-local"

    def make_widget(self) -> Any:
        return theme.TextInput({"type": self.kind_of_input, "step": "any"})

    def shown(self, value: Any) -> Any:
        try:
            moment = dt.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return value
        local = timezone.localtime(moment).replace(tzinfo=None) if moment.tzinfo else moment
        return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")

    def parse(self, text: str) -> Any:
        try:
            moment = dt.datetime.fromisoformat(text.strip())
        except ValueError:
            return text
        return moment if moment.tzinfo else with_zone(from_current_timezone(moment))


class SpanField(ArgumentField):
    """A span of time: seconds, ``H:MM:SS`` or ISO 8601."""

    def shown(self, value: Any) -> Any:
        span = parse_duration(value) if isinstance(value, str) else None
        return str(span) if span is not None and dt.timedelta(0) <= span < dt.timedelta(days=1) else value

    def parse(self, text: str) -> Any:
        try:
            return dt.timedelta(seconds=float(text))
        except (ValueError, OverflowError):
            return text.strip()
