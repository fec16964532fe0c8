"""What was submitted, looked for in the database, and explained where it is not as it should be."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pydantic_core
from django.db.models import QuerySet

from furrow.kinds.kind import Kind, get_kind
from furrow.kinds.secret import KEY, masked
from furrow.models import Job

#: So many of the nearest jobs are shown.
SHOWN = 3


def submitted(kind: Kind | str | None = None) -> "QuerySet[Job]":
    """The jobs that were submitted, of this kind or of all, in their order, whatever became of them::

    assert [job.arguments["order_id"] for job in submitted(charge)] == [7, 8]
    """
    jobs = Job.objects.order_by("pk")
    return jobs if kind is None else jobs.filter(kind=_name(kind))


def assert_submitted(
    kind: Kind | str,
    arguments: Mapping[str, Any] | None = None,
    *,
    count: int | None = None,
    run_at: dt.datetime | dt.timedelta | tuple[dt.datetime, dt.datetime] | None = None,
    within: float = 1.0,
    **columns: Any,
) -> Job:
    """A job like this was submitted. Returns it; of several the last::

        job = assert_submitted(charge, {"order_id": 7}, run_at=dt.timedelta(minutes=10), queue="payments")

    Args:
        arguments: these among its arguments. Values are compared as JSON, so a date is a date. Not given: any.
        count: so many of them, and no other number.
        run_at: when it is due: a time, or a span after the submit (``countdown``), to ``within`` seconds; or a pair, from when
            until when.
        columns: of its row: ``queue``, ``priority``, ``max_attempts``, ``expires_at``, ``batch``, ``submitted_by``,
            ``unique_key``, ``state``, ``result``, …; of ``tags`` those that it must have.

    Raises:
        AssertionError: shows the nearest jobs that there are, and in what they differ.
    """
    if count == 0:
        raise ValueError("assert_submitted(count=0): use assert_not_submitted")
    jobs = list(submitted(kind))
    wanted = _Wanted(arguments or {}, run_at, within, columns)
    differences = {job.pk: wanted.differences(job) for job in jobs}
    found = [job for job in jobs if not differences[job.pk]]
    if found and count in (None, len(found)):
        return found[-1]
    number = "no job" if not found else f"{len(found)} job{'s' if len(found) > 1 else ''}"
    text = f"{number} of {_name(kind)}{wanted} submitted"
    if count is not None:
        text += f", expected {count}"
    if near := sorted((job for job in jobs if differences[job.pk]), key=lambda job: len(differences[job.pk]))[:SHOWN]:
        text += f". The nearest of the others ({len(jobs) - len(found)}):" if found else f". The nearest of {len(jobs)}:"
        text += "".join(f"\n  {_shown(job)}" + "".join(f"\n    {line}" for line in differences[job.pk]) for job in near)
    elif not jobs:
        text += _others()
    raise AssertionError(text)


def assert_not_submitted(kind: Kind | str | None = None, arguments: Mapping[str, Any] | None = None, **options: Any) -> None:
    """No job like this was submitted; without a kind, none at all. Options as of :func:`assert_submitted`::

        assert_not_submitted(charge, {"order_id": 7})

    Raises:
        AssertionError: shows those that were.
    """
    if kind is None:
        jobs = list(submitted())
    else:
        wanted = _Wanted(arguments or {}, options.pop("run_at", None), options.pop("within", 1.0), options)
        jobs = [job for job in submitted(kind) if not wanted.differences(job)]
    if jobs:
        lines = "".join(f"\n  {_shown(job)}" for job in jobs[-SHOWN:])
        raise AssertionError(f"{len(jobs)} job{'s were' if len(jobs) > 1 else ' was'} submitted that should not be:{lines}")


class _Wanted:
    """What a job shall be like."""

    def __init__(self, arguments: Mapping[str, Any], run_at: Any, within: float, columns: Mapping[str, Any]) -> None:
        self.arguments, self.run_at, self.within, self.columns = arguments, run_at, within, columns
        known = {field.name for field in Job._meta.concrete_fields} | {field.attname for field in Job._meta.concrete_fields}
        for name in columns:
            if name not in known:
                raise TypeError(f"assert_submitted({name}=…): a job has no such column; it has {', '.join(sorted(known))}.")

    def __str__(self) -> str:
        """After "no job of …"."""
        parts = [f"arguments {_text(dict(self.arguments))}"] if self.arguments else []
        parts += [f"run_at {_text(self.run_at)}"] if self.run_at is not None else []
        parts += [f"{name} {_text(value)}" for name, value in self.columns.items()]
        return f" with {', '.join(parts)} was" if parts else " was"

    def differences(self, job: Job) -> list[str]:
        """One line each; none: it is the one."""
        lines = []
        for name, expected in self.arguments.items():
            there = _plain(job.arguments.get(name, _MISSING)) if isinstance(job.arguments, dict) else _MISSING
            if not _equal(expected, there):
                secret = isinstance(job.arguments, dict) and masked(job.arguments.get(name)) != job.arguments.get(name)
                shown = "another secret" if secret else f"{there!r}, expected {_text(expected)}"
                lines.append(f"arguments[{name!r}] is {shown}")
        if self.run_at is not None and (text := self._time(job)):
            lines.append(text)
        for name, expected in self.columns.items():
            there = getattr(job, name)
            right = set(expected) <= set(there or ()) if name == "tags" else _equal(expected, there)
            if not right:
                lines.append(f"{name} is {_text(there)}, expected {_text(expected)}")
        return lines

    def _time(self, job: Job) -> str:
        if isinstance(self.run_at, tuple):
            first, last = self.run_at
            right, expected = first <= job.run_at <= last, f"from {first} to {last}"
        elif isinstance(self.run_at, dt.timedelta):
            right = abs((job.run_at - job.created_at - self.run_at).total_seconds()) <= self.within
            return "" if right else f"run_at is {job.run_at - job.created_at} after the submit, expected {self.run_at}"
        else:
            right, expected = abs((job.run_at - self.run_at).total_seconds()) <= self.within, str(self.run_at)
        return "" if right else f"run_at is {job.run_at}, expected {expected}"


class _Missing:
    def __repr__(self) -> str:
        return "missing"


_MISSING = _Missing()


def _name(kind: Kind | str) -> str:
    return kind.name if isinstance(kind, Kind) else get_kind(kind).name


def _plain(value: Any) -> Any:
    return value[KEY] if isinstance(value, dict) and value.keys() == {KEY} else value


def _equal(expected: Any, there: Any) -> bool:
    """As they are, or as JSON."""
    if expected == there:
        return True
    try:
        return bool(json.loads(pydantic_core.to_json(expected)) == there)
    except (ValueError, pydantic_core.PydanticSerializationError):
        return False


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (dt.datetime, dt.timedelta)) else repr(value)


def _shown(job: Job) -> str:
    text = json.dumps(masked(job.arguments), ensure_ascii=False)
    return f"{job.kind} {job.pk} ({job.state}) {text if len(text) <= 200 else text[:200] + '…'}"


def _others() -> str:
    kinds = Counter(Job.objects.values_list("kind", flat=True))
    if not kinds:
        return ". Nothing was."
    return ". There are others: " + ", ".join(f"{number} of {kind}" for kind, number in kinds.most_common(5)) + "."
