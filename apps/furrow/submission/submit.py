"""Submit: validate, then one INSERT in the caller's transaction. The wake-up of the dispatcher after commit is best effort."""

import datetime as dt
import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import TextField
from django.db.models.functions import Cast

from furrow import signals, statements
from furrow.errors import ArgumentError, OptionError
from furrow.kinds.kind import Kind, get_kind
from furrow.kinds.meta import from_json
from furrow.limits.limit import Rule
from furrow.locks.wakeup import wake
from furrow.middleware import Submission, around_submit
from furrow.models.job import Job, new_id
from furrow.submission import eager, options
from furrow.submission.columns import Ruled


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
    meta: Mapping[str, Any] | None = None,
    again_of: uuid.UUID | str | None = None,
    submitted_by: Any = None,
    id: uuid.UUID | str | None = None,
    **rules: Unpack[Rule],
) -> Job:
    """Submit one job: one INSERT in the current transaction. A rollback removes it; after the commit it will run.

    Args:
        kind: a kind, or its name.
        arguments: the handler's arguments by name.
        queue, priority, max_attempts: override the kind's own.
        run_at, countdown: do not start before this (aware) time, or before this many seconds from now.
        expires: cancel the job if it has not begun by this time, or within this span (timedelta or seconds) of ``run_at``.
        batch: an id that jobs share which belong together.
        tags: short texts to find the job by, in addition to the kind's own.
        meta: metadata that travels with the job besides its arguments, such as a tenant; middleware may add to it.
        again_of: the id of the job that this one repeats; its metadata is where this job's begins.
        submitted_by: the user who submits.
        id: the job's id. Default: a fresh UUIDv7.
        rules: ``lock``, ``concurrency``, ``rate``, ``unique``, ``ordered``, ``fair``, … as for ``@job``; override
            the kind's own.

    Returns:
        The job. For a ``unique`` kind it may be an earlier job, with ``existed`` set.

    Raises:
        UnknownKind: no such kind.
        NotUnique: a job with this unique key exists, and the kind declares ``conflict="raise"``.
        ArgumentError, OptionError: name each field at fault, the reason and the remedy. Nothing was written.
    """
    kind = kind if isinstance(kind, Kind) else get_kind(kind)
    columns = options.columns(kind, queue, priority, run_at, countdown, expires, max_attempts, batch, submitted_by)
    columns |= options.tags_column(kind, tags)
    if again_of is not None:
        columns["again_of"] = options.as_uuid(kind, "again_of", again_of)
    job_id = new_id() if id is None else options.as_uuid(kind, "id", id)
    text = kind.arguments.to_json({} if arguments is None else arguments)
    connection = _connection()
    ruled = Ruled.of(kind, rules, columns)
    given = options.given_meta(kind, meta)
    if again_of is not None:
        given = _meta_of(connection, columns["again_of"]) | given

    def write(meta: dict[str, Any]) -> Job:
        return _write_one(connection, kind, job_id, text, columns | options.meta_column(kind, meta), ruled)

    job = around_submit(Submission(kind.name, columns["queue"], 1, given), write, using=connection.alias)
    if written([job.pk]):
        job.refresh_from_db()
    return job


def _write_one(
    connection: BaseDatabaseWrapper, kind: Kind, job_id: uuid.UUID, text: str, columns: dict[str, Any], ruled: Ruled | None
) -> Job:
    own = None
    if ruled is not None:
        ruled = replace(ruled, columns=columns)
        if ruled.unique:
            job = ruled.submit_one(connection, job_id, text)
            signals.submitted(kind.name, [] if job.existed else [job.pk])
            return job
        own = [ruled.own(text)]
    if not statements.on(connection).insert_jobs(connection, [job_id], [text], columns, own):
        raise OptionError(kind.name, {"id": f"{job_id} is the id of another job: leave it out, or use a fresh one"})
    signals.submitted(kind.name, [job_id])
    now = dt.datetime.now(dt.UTC)
    job = Job(id=job_id, arguments=json.loads(text), **{"created_at": now, "run_at": now, **columns, **(own[0] if own else {})})
    for name in ("tags", "meta"):
        setattr(job, name, json.loads(columns[name]) if name in columns else None)
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
    meta: Mapping[str, Any] | None = None,
    submitted_by: Any = None,
    ids: Sequence[uuid.UUID] | None = None,
    **rules: Unpack[Rule],
) -> list[uuid.UUID]:
    """Submit one job for each row of arguments, all or none, in the current transaction. Options are those of :func:`submit`.

    Args:
        ids: the jobs' ids, in the order of the rows; no job may have one of them. Default: fresh UUIDv7s.

    Returns:
        The jobs' ids, in the order of the rows. For a ``unique`` kind an id may be that of an earlier job or row.

    Raises:
        UnknownKind, OptionError: as for :func:`submit`.
        ArgumentError: names the first row at fault, counted from 0, such as ``row 17: path``. Nothing was written.
    """
    kind = kind if isinstance(kind, Kind) else get_kind(kind)
    columns = options.columns(kind, queue, priority, run_at, countdown, expires, max_attempts, batch, submitted_by)
    columns |= options.tags_column(kind, tags)
    texts = []
    for number, row in enumerate(rows):
        try:
            texts.append(kind.arguments.to_json(row))
        except Exception as error:
            raise _in_row(error, number) from None
    if not texts:
        return []
    new = [new_id() for _ in texts] if ids is None else [options.as_uuid(kind, "ids", id) for id in ids]
    if len(new) != len(texts):
        raise OptionError(kind.name, {"ids": f"{len(new)} are given for {len(texts)} rows: give one for each"})
    connection = _connection()
    ruled = Ruled.of(kind, rules, columns)

    def write(meta: dict[str, Any]) -> list[uuid.UUID]:
        return _write_many(connection, kind, new, texts, columns | options.meta_column(kind, meta), ruled)

    found = around_submit(
        Submission(kind.name, columns["queue"], len(texts), options.given_meta(kind, meta)), write, using=connection.alias
    )
    written(found)
    return found


def _write_many(
    connection: BaseDatabaseWrapper,
    kind: Kind,
    ids: Sequence[uuid.UUID],
    texts: list[str],
    columns: dict[str, Any],
    ruled: Ruled | None,
) -> list[uuid.UUID]:
    new = ids = list(ids)
    with transaction.atomic(using=connection.alias):
        if ruled is not None:
            ruled = replace(ruled, columns=columns)
        if ruled is not None and ruled.unique:
            found = ruled.submit(connection, ids, texts)
            ids, new = [id for id, _ in found], [id for id, existed in found if not existed]
        else:
            own = None if ruled is None else [ruled.own(text) for text in texts]
            statements.on(connection).insert_jobs(connection, ids, texts, columns, own)
        signals.submitted(kind.name, new)
    return ids


def _in_row(error: Exception, number: int) -> Exception:
    if not isinstance(error, ArgumentError):
        return error
    return ArgumentError(error.kind, {f"row {number}: {name}": text for name, text in error.fields.items()})


def _meta_of(connection: BaseDatabaseWrapper, job_id: uuid.UUID) -> dict[str, Any]:
    text = Job.objects.using(connection.alias).filter(pk=job_id).values_list(Cast("meta", TextField()), flat=True).first()
    return from_json(text)


def _connection() -> BaseDatabaseWrapper:
    return connections[router.db_for_write(Job)]


def written(ids: Sequence[uuid.UUID]) -> bool:
    """Wake the dispatcher after the commit; where jobs run at their submit, run these. Whether they ran."""
    transaction.on_commit(wake, using=router.db_for_write(Job), robust=True)
    if (run := eager.runner()) is None:
        return False
    run(ids)
    return True
