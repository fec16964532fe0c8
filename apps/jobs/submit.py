"""Submit: validate, INSERT. In the caller's transaction, and nothing else; the wake-up after it is best effort."""

import datetime as dt
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Unpack

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from apps.jobs import statements
from apps.jobs.conf import conf
from apps.jobs.errors import ArgumentError, OptionError, did_you_mean
from apps.jobs.kinds import Kind, get_kind
from apps.jobs.limits import Rule
from apps.jobs.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job, new_id
from apps.jobs.ruled import Ruled
from apps.jobs.tags import tags_problem
from apps.locks.wakeup import wake


def submit(
    kind: Kind | str,
    arguments: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: dt.datetime | None = None,
    countdown: float | None = None,
    expires: float | dt.datetime | dt.timedelta | None = None,
    max_attempts: int | None = None,
    batch: uuid.UUID | str | None = None,
    tags: Collection[str] = (),
    again_of: uuid.UUID | str | None = None,
    submitted_by: Any = None,
    id: uuid.UUID | str | None = None,
    **rules: Unpack[Rule],
) -> Job:
    """Submit one job: one INSERT in the current transaction.

    Args:
        kind: a kind, or its name.
        arguments: the handler's arguments by name.
        queue, priority, max_attempts: instead of the kind's own.
        run_at, countdown: not before this time (aware), or this many seconds from now.
        expires: cancelled if it has not begun by then: a time, or a span (timedelta or seconds) after ``run_at``.
        batch: shared by jobs that belong together.
        tags: short texts to find it by, besides the kind's own.
        again_of: the id of the job that this one repeats.
        submitted_by: a user.
        id: instead of a fresh UUIDv7.
        rules: ``lock``, ``concurrency``, ``rate``, ``unique``, ``ordered``, ``fair``, … as of ``@job``, instead of the kind's.

    Returns:
        The job; of a unique kind it may be an earlier one, and ``existed`` says so.

    Raises:
        UnknownKind: no such kind.
        NotUnique: a job with this unique key is there, and the kind says to raise.
        ArgumentError, OptionError: name each field at fault, the reason and the remedy. Nothing was written.
    """
    kind = kind if isinstance(kind, Kind) else get_kind(kind)
    columns = _columns(kind, queue, priority, run_at, countdown, expires, max_attempts, batch, submitted_by)
    columns |= _tags(kind, tags)
    if again_of is not None:
        columns["again_of"] = _uuid(kind, "again_of", again_of)
    job_id = new_id() if id is None else _uuid(kind, "id", id)
    text = kind.arguments.to_json({} if arguments is None else arguments)
    connection = _connection()
    ruled = Ruled.of(kind, rules, columns)
    if ruled is not None and ruled.unique:
        return ruled.submit_one(connection, job_id, text)
    own = ruled and [ruled.own(text)]
    if not statements.on(connection).insert_jobs(connection, [job_id], [text], columns, own):
        raise OptionError(kind.name, {"id": f"{job_id} is the id of another job: leave it out, or use a fresh one"})
    _wake_after_commit()
    now = timezone.now()
    job = Job(id=job_id, arguments=json.loads(text), **{"created_at": now, "run_at": now, **columns, **(own[0] if own else {})})
    job.tags = json.loads(columns["tags"]) if "tags" in columns else None
    job._state.adding, job._state.db = False, connection.alias
    return job


def submit_many(
    kind: Kind | str,
    rows: Iterable[Mapping[str, Any]],
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: dt.datetime | None = None,
    countdown: float | None = None,
    expires: float | dt.datetime | dt.timedelta | None = None,
    max_attempts: int | None = None,
    batch: uuid.UUID | str | None = None,
    tags: Collection[str] = (),
    submitted_by: Any = None,
    **rules: Unpack[Rule],
) -> list[uuid.UUID]:
    """Submit a job for each row of arguments, all or none, in the current transaction; returns their ids in order. Of a unique
    kind the id may be that of a job that was there, or of an earlier row.

    Raises:
        UnknownKind, OptionError: as :func:`submit`.
        ArgumentError: the first row at fault, counted from 0; its fields are named ``row 17: path``. Nothing was written.
    """
    kind = kind if isinstance(kind, Kind) else get_kind(kind)
    columns = _columns(kind, queue, priority, run_at, countdown, expires, max_attempts, batch, submitted_by)
    columns |= _tags(kind, tags)
    texts = []
    for number, row in enumerate(rows):
        try:
            texts.append(kind.arguments.to_json(row))
        except Exception as error:
            raise _in_row(error, number) from None
    ids = [new_id() for _ in texts]
    if not ids:
        return ids
    connection = _connection()
    ruled = Ruled.of(kind, rules, columns)
    with transaction.atomic(using=connection.alias):
        if ruled is not None and ruled.unique:
            ids = [id for id, _ in ruled.submit(connection, ids, texts)]
        else:
            own = ruled and [ruled.own(text) for text in texts]
            statements.on(connection).insert_jobs(connection, ids, texts, columns, own)
    _wake_after_commit()
    return ids


def _columns(
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
    """The columns that the kind and the options come to; all that is wrong with the options is said at once."""
    wrong: dict[str, str] = {}
    queue = kind.queue if queue is None else queue
    if queue not in conf().queues:
        wrong["queue"] = f"{queue!r} is unknown; {did_you_mean(queue, conf().queues)} (FURROW['QUEUES'])"
    elif lacking := kind.lacks_key_of(queue):
        wrong["queue"] = f"{queue!r} {lacking}"
    priority = kind.priority if priority is None else priority
    if isinstance(priority, bool) or not isinstance(priority, int) or not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
        wrong["priority"] = f"{priority!r} must be a whole number; {HIGHEST_PRIORITY} goes first, {LOWEST_PRIORITY} last"
    max_attempts = kind.retry.max_attempts if max_attempts is None else max_attempts
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or not 1 <= max_attempts <= 1000:
        wrong["max_attempts"] = f"{max_attempts!r} must be a whole number from 1 to 1000"
    due = _due(run_at, countdown, wrong)
    expires_at = _expiry(kind.expires if expires is None else expires, due, wrong)
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
        "batch": None if batch is None else _uuid(kind, "batch", batch),
        "submitted_by_id": getattr(submitted_by, "pk", None),
    }
    # Due now: left to the database's clock, which is also the one that dispatches.
    return columns if run_at is None and not countdown else {**columns, "run_at": due}


def _tags(kind: Kind, given: Collection[str]) -> dict[str, str]:
    """The column, as JSON text; none for a job without tags, which then costs nothing."""
    if not given and not kind.tags:
        return {}
    if problem := tags_problem(given):
        raise OptionError(kind.name, {"tags": problem})
    tags = list(dict.fromkeys([*kind.tags, *given]))
    return {"tags": json.dumps(tags)} if tags else {}


def _due(run_at: dt.datetime | None, countdown: float | None, wrong: dict[str, str]) -> dt.datetime:
    now = timezone.now()
    if run_at is not None and countdown is not None:
        wrong["countdown"] = "is given together with run_at: give one of them"
    elif countdown is not None:
        if not _is_number(countdown) or countdown < 0:
            wrong["countdown"] = f"{countdown!r} must be a number of seconds, not less than 0"
        else:
            try:
                return now + dt.timedelta(seconds=countdown)
            except OverflowError:
                wrong["countdown"] = f"{countdown!r} seconds lead beyond the year 9999"
    elif run_at is not None:
        if not isinstance(run_at, dt.datetime):
            wrong["run_at"] = f"{run_at!r} must be a datetime"
        elif timezone.is_naive(run_at):
            wrong["run_at"] = f"{run_at.isoformat()} has no time zone: pass an aware datetime (django.utils.timezone.now())"
        elif not _in_calendar(run_at):
            wrong["run_at"] = f"{run_at.isoformat()} is outside of the years 1 to 9999 in UTC"
        else:
            return run_at
    return now


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
    if not _in_calendar(moment):
        wrong["expires"] = f"{moment.isoformat()} is outside of the years 1 to 9999 in UTC"
    elif moment <= due:
        wrong["expires"] = f"{moment.isoformat()} is not after run_at ({due.isoformat()}): the job could never begin"
    return moment


def _is_number(value: Any) -> bool:
    """A finite number, and no ``True``."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _in_calendar(moment: dt.datetime) -> bool:
    try:
        moment.astimezone(dt.UTC)
    except OverflowError:
        return False
    return True


def _uuid(kind: Kind, option: str, given: uuid.UUID | str) -> uuid.UUID:
    try:
        return given if isinstance(given, uuid.UUID) else uuid.UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise OptionError(kind.name, {option: f"{given!r} must be a UUID"}) from None


def _in_row(error: Exception, number: int) -> Exception:
    if not isinstance(error, ArgumentError):
        return error
    return ArgumentError(error.kind, {f"row {number}: {name}": text for name, text in error.fields.items()})


def _connection() -> BaseDatabaseWrapper:
    return connections[router.db_for_write(Job)]


def _wake_after_commit() -> None:
    transaction.on_commit(wake, using=router.db_for_write(Job), robust=True)
