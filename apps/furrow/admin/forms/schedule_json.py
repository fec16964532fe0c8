"""A schedule that a program makes or changes, as JSON: the form of the admin reads it, so that both refuse the same."""

import json
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError

from furrow.admin.forms.schedule import ScheduleForm
from furrow.errors import InputError, did_you_mean
from furrow.kinds.kind import get_kind
from furrow.kinds.secret import masked
from furrow.models import Schedule
from furrow.models.database import atomic
from furrow.schedule import OPTIONS
from furrow.schedules.rows import check_options, moment_of, usual_timezone
from furrow.schedules.telling import tell_of

#: What the form calls otherwise.
_FORMS = {"window": "catch_up_window"}
#: What there is to say of a schedule, beside the options of its submits.
NAMES = (
    *("name", "kind", "arguments", "timing", "timezone", "catch_up", "window", "overlap", "jitter", "starts_at", "ends_at"),
)
_DATES = ("starts_at", "ends_at")


def written(given: Mapping[str, Any], user: Any, row: Schedule | None = None) -> Schedule:
    """Make a schedule, or change this one, whose row the caller has locked: what is not ``given`` stays as it is.

    Args:
        given: ``NAMES``, and ``OPTIONS`` of a submit; seconds where the form has seconds.
        user: who does it; ``None``: whoever may do everything.

    Raises:
        InputError: names each field at fault. Nothing was written.
        UnknownKind, OptionError: there is no such kind, or it takes no such options.
    """
    event = "added" if row is None else "changed"
    row = Schedule(timezone=usual_timezone()) if row is None else row
    if unknown := [name for name in given if name not in (*NAMES, *OPTIONS)]:
        raise InputError({name: f"is unknown; {did_you_mean(name, (*NAMES, *OPTIONS))}" for name in unknown[:10]})
    if not isinstance(given.get("arguments", {}), dict):
        raise InputError({"arguments": "must be an object of the arguments by name"})
    options = {**row.options, **{name: given[name] for name in OPTIONS if name in given}}
    row.options = {name: value for name, value in options.items() if value is not None}
    check_options(get_kind(str(given.get("kind", row.kind))), row.options)
    form = type("ScheduleForm", (ScheduleForm,), {"user": user})(_data(row, given), instance=row)
    if form.is_valid():
        try:
            with atomic():
                found: Schedule = form.save()
                tell_of([found], event)
                return found
        except IntegrityError:  # somebody was faster
            raise InputError({"name": "there is a schedule of this name: choose another"}) from None
    names = {theirs: ours for ours, theirs in _FORMS.items()}
    wrong = {names.get(name, name).replace("__all__", "schedule"): _text(texts) for name, texts in form.errors.items()}
    raise InputError(wrong)


def _data(row: Schedule, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a browser would send."""
    data: dict[str, Any] = {name: row.options.get(name) for name in ("queue", "priority")}
    for name in NAMES:
        column = _FORMS.get(name, name)
        value = given[name] if name in given else getattr(row, column)
        if name == "arguments":
            value = json.dumps(value if name in given else masked(value))
        elif name in _DATES and value is not None:
            value = moment_of(name, value).isoformat()
        data[column] = value
    return data


def _text(texts: list[str]) -> str:
    return "; ".join(text[:1].lower() + text[1:].rstrip(".") for text in map(str, texts))
