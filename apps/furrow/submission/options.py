"""Validate the options of a submit: queue, priority, times, attempts."""

import datetime as dt
import json
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from django.db import connections, router
from django.utils import timezone

from furrow import statements
from furrow.calendar import in_calendar
from furrow.errors import OptionError
from furrow.kinds.declaration import unknown_queue
from furrow.kinds.kind import Kind
from furrow.kinds.meta import meta_problem, to_json
from furrow.kinds.tags import tags_problem
from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job


def columns(
    kind: Kind,
    queue: str | None,
    priority: int | None,
    run_at: dt.datetime | None,
    countdown: float | None,
    expires: float | dt.datetime | dt.timedelta | None,
    max_attempts: int | None,
    batch: uuid.UUID | str | None,
    submitted_by: Any,
) -> dict[str, Any]:
    """The columns that the kind and the options come to.

    Raises:
        OptionError: names all that is wrong with the options at once.
    """
    wrong: dict[str, str] = {}
    queue = kind.queue if queue is None else queue
    if queue not in kind.queues:
        wrong["queue"] = f"{queue!r} {unknown_queue(queue, external=kind.external)}"
    elif lacking := kind.lacks_key_of(queue):
        wrong["queue"] = f"{queue!r} {lacking}"
    priority = kind.priority if priority is None else priority
    if isinstance(priority, bool) or not isinstance(priority, int) or not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
        wrong["priority"] = f"{priority!r} must be a whole number; {HIGHEST_PRIORITY} goes first, {LOWEST_PRIORITY} last"
    max_attempts = kind.retry.max_attempts if max_attempts is None else max_attempts
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or not 1 <= max_attempts <= 1000:
        wrong["max_attempts"] = f"{max_attempts!r} must be a whole number from 1 to 1000"
    expires = kind.expires if expires is None else expires
    due = _due(run_at, countdown, wrong, _now(countdown, expires))
    expires_at = _expiry(expires, due, wrong)
    if submitted_by is not None and not hasattr(submitted_by, "pk"):
        wrong["submitted_by"] = f"{submitted_by!r} must be a user"
    if wrong:
        raise OptionError(kind.name, wrong)
    columns = {
        "kind": kind.name,
        "queue": queue,
        "priority": priority,
        "max_attempts": max_attempts,
        "expires_at": expires_at,
        "batch": None if batch is None else as_uuid(kind, "batch", batch),
        "submitted_by_id": getattr(submitted_by, "pk", None),
    }
    # Due now: left to the database's clock, which is also the one that dispatches.
    return columns if run_at is None and not countdown else {**columns, "run_at": due}


def tags_column(kind: Kind, given: Collection[str]) -> dict[str, str]:
    """The column, as JSON text; none for a job without tags, which then costs nothing.

    Raises:
        OptionError: a tag cannot be.
    """
    if not given and not kind.tags:
        return {}
    if problem := tags_problem(given):
        raise OptionError(kind.name, {"tags": problem})
    tags = list(dict.fromkeys([*kind.tags, *given]))
    return {"tags": json.dumps(tags)} if tags else {}


def given_meta(kind: Kind, meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a submit gives as metadata, for middleware to change.

    Raises:
        OptionError: it is none.
    """
    if meta is not None and (problem := meta_problem(meta)):
        raise OptionError(kind.name, {"meta": problem})
    return dict(meta or {})


def meta_column(kind: Kind, meta: dict[str, Any]) -> dict[str, str]:
    """The same of metadata.

    Raises:
        OptionError: it cannot be stored.
    """
    if not meta:
        return {}
    if problem := meta_problem(meta):
        raise OptionError(kind.name, {"meta": problem})
    text = to_json(meta)
    return {} if text is None else {"meta": text}


def _now(countdown: object, expires: object) -> dt.datetime:
    """From when spans count: the database's clock, which also says when a job is due and when it expires. It is asked only
    where one is given, or a time that must lie ahead."""
    if not countdown and expires is None:
        return dt.datetime.now(dt.UTC)
    connection = connections[router.db_for_write(Job)]
    return statements.on(connection).clock(connection)


def _due(run_at: dt.datetime | None, countdown: float | None, wrong: dict[str, str], now: dt.datetime) -> dt.datetime:
    if run_at is not None and countdown is not None:
        wrong["countdown"] = "is given together with run_at: give one of them"
    elif countdown is not None:
        if not _is_number(countdown) or countdown < 0:
            wrong["countdown"] = f"{countdown!r} must be a number of seconds, not less than 0"
        else:
            with suppress(OverflowError):
                if in_calendar(moment := now + dt.timedelta(seconds=countdown)):
                    return moment
            wrong["countdown"] = f"{countdown!r} seconds lead beyond the year 9999"
    elif run_at is not None:
        if not isinstance(run_at, dt.datetime):
            wrong["run_at"] = f"{run_at!r} must be a datetime"
        elif timezone.is_naive(run_at):
            wrong["run_at"] = f"{run_at.isoformat()} has no time zone: pass an aware one (django.utils.timezone.make_aware)"
        elif not in_calendar(run_at):
            wrong["run_at"] = f"{run_at.isoformat()} is outside of the years 1 to 9999, or within a day of their ends"
        else:
            return run_at
    return now


#: When something expires: seconds from now, a span from now, a time.
Expires = float | dt.datetime | dt.timedelta | None


def expiry(expires: Expires) -> dt.datetime | None:
    """When something that is submitted now expires.

    Raises:
        ValueError: never, or it has.
    """
    wrong: dict[str, str] = {}
    found = _expiry(expires, _now(None, expires), wrong)
    if wrong:
        raise ValueError(wrong["expires"])
    return found


def _expiry(expires: float | dt.datetime | dt.timedelta | None, due: dt.datetime, wrong: dict[str, str]) -> dt.datetime | None:
    if expires is None:
        return None
    if isinstance(expires, dt.datetime):
        if timezone.is_naive(expires):
            wrong["expires"] = f"{expires.isoformat()} has no time zone: pass an aware datetime"
            return None
        moment = expires
    elif isinstance(expires, dt.timedelta) or _is_number(expires):
        try:
            moment = due + (expires if isinstance(expires, dt.timedelta) else dt.timedelta(seconds=expires))
        except OverflowError:
            wrong["expires"] = f"{expires!r} leads beyond the year 9999"
            return None
    else:
        wrong["expires"] = f"{expires!r} must be a time, a timedelta or a number of seconds"
        return None
    if not in_calendar(moment):
        wrong["expires"] = f"{moment.isoformat()} is outside of the years 1 to 9999, or within a day of their ends"
    elif moment <= due:
        wrong["expires"] = f"{moment.isoformat()} is not after run_at ({due.isoformat()}): the job could never begin"
    return moment


def _is_number(value: Any) -> bool:
    """A finite number, and no ``True``."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def as_uuid(kind: Kind, option: str, given: uuid.UUID | str) -> uuid.UUID:
    """The id that an option gives.

    Raises:
        OptionError: it is none.
    """
    try:
        return given if isinstance(given, uuid.UUID) else uuid.UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise OptionError(kind.name, {option: f"{given!r} must be a UUID"}) from None
