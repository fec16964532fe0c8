"""A job as a ``TaskResult``."""

import datetime as dt
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from furrow.django_tasks.kinds import TaskKind
from furrow.kinds.kind import find_kind
from furrow.models import Attempt, Job
from furrow.models.json_field import Unreadable
from furrow.states import FINAL, Outcome, State

#: Where a job's metadata has what a row has no column for: how many arguments went by position, the priority as Django has
#: it, ``run_after``, and the backend's alias; each only where the task's declaration does not say it.
KEY = "django_task"
_STATUS = {State.RUNNING: "RUNNING", State.SUCCEEDED: "SUCCESSFUL", State.FAILED: "FAILED", State.CANCELLED: "FAILED"}
#: Runs that did not end in an error.
_NO_ERROR = (Outcome.SUCCEEDED, Outcome.SNOOZED)


def remembered(kind: TaskKind, task: Any, positional: int) -> dict[str, Any]:
    """What the metadata of an enqueued task's job has."""
    kept: dict[str, Any] = {"args": positional} if positional else {}
    if task.priority != kind.declared.priority:
        kept["priority"] = task.priority
    if task.backend != kind.declared.backend:
        kept["backend"] = task.backend
    if task.run_after is not None:
        kept["run_after"] = task.run_after.isoformat()
    return {KEY: kept} if kept else {}


def kept_in(meta: Any) -> dict[str, Any]:
    """The same, of a job's metadata."""
    kept = meta.get(KEY) if isinstance(meta, dict) else None
    return kept if isinstance(kept, dict) else {}


def find_job(result_id: object) -> tuple[Job, TaskKind] | None:
    """The job of a result's id, if it is one of a task."""
    try:
        job = Job.objects.filter(pk=uuid.UUID(str(result_id))).first()
    except ValueError:
        return None
    kind = find_kind(job.kind) if job else None
    return (job, kind) if job and isinstance(kind, TaskKind) else None


def result_of(job: Job, kind: TaskKind, *, new: bool = False) -> Any:
    """A job as its task's result. ``new``: it has just been submitted, and so has no attempts."""
    attempts = [] if new else list(Attempt.objects.filter(job=job).order_by("number"))
    first = attempts[0].started_at if attempts else job.started_at
    running = job.state == State.RUNNING and job.worker
    made = blank(
        kind,
        job.meta,
        job.arguments if isinstance(job.arguments, dict) else {},
        queue=job.queue,
        id=str(job.pk),
        status=kind.framework.base.TaskResultStatus[_STATUS.get(State(job.state), "READY")],
        enqueued_at=time_of(job.pk) or job.created_at,
        started_at=first,
        finished_at=job.finished_at if job.state in FINAL else None,
        last_attempted_at=job.started_at or (attempts[-1].started_at if attempts else None),
        errors=_errors(kind, job, attempts),
        worker_ids=[*(str(one.worker or "") for one in attempts), *([str(job.worker)] if running else [])],
    )
    if job.state == State.SUCCEEDED:
        if isinstance(job.result, Unreadable):
            raise ValueError(f"the result of {job.pk} cannot be read: {job.result.reason}")
        object.__setattr__(made, "_return_value", job.result)
    return made


def blank(kind: TaskKind, meta: Any, arguments: dict[str, Any], *, queue: str, **fields: Any) -> Any:
    """A result with the task as it was enqueued, and its call."""
    kept = kept_in(meta)
    args, kwargs = kind.called(arguments, kept.get("args", 0))
    backend = kept.get("backend", kind.declared.backend)
    after = kept.get("run_after")
    task = kind.declared
    chosen = {"priority": kept.get("priority", task.priority), "backend": backend, "queue_name": queue}
    run_after = dt.datetime.fromisoformat(after) if after else None
    if run_after is not None or any(getattr(task, name) != value for name, value in chosen.items()):
        # Settings may have changed since: then it is the task as it is declared now.
        with suppress(kind.framework.invalid_task, ImproperlyConfigured):
            task = task.using(**chosen, run_after=run_after)
    result: Any = kind.framework.base.TaskResult(task=task, args=args, kwargs=kwargs, backend=backend, **fields)
    return result


def _errors(kind: TaskKind, job: Job, attempts: Iterable[Attempt]) -> list[Any]:
    error = kind.framework.base.TaskError
    found = [
        error(exception_class_path=_path(one), traceback=one.traceback or one.error)
        for one in attempts
        if one.outcome not in _NO_ERROR and (one.error_type or one.error)
    ]
    if job.state == State.CANCELLED:
        found.append(error(exception_class_path="furrow.errors.JobCancelled", traceback=job.error or "cancelled"))
    elif job.state == State.FAILED and not found:
        found.append(error(exception_class_path="furrow.errors.JobFailed", traceback=job.error or "failed"))
    return found


def _path(attempt: Attempt) -> str:
    """The dotted path of an attempt's exception: the last line of its traceback has it, but for built-in ones."""
    name = attempt.error_type
    for line in reversed(attempt.traceback.splitlines()):
        said = line.partition(":")[0].strip()
        if name and (said == name or said.endswith(f".{name}")):
            return said if "." in said else f"builtins.{name}"
    return f"furrow.errors.{'CutOff' if attempt.outcome in (Outcome.CRASHED, Outcome.LOST) else 'JobFailed'}"


def time_of(id: uuid.UUID) -> dt.datetime | None:
    """When a job's id was made, to the millisecond: who enqueues knows it without asking. ``None``: the id does not say."""
    if id.version != 7:
        return None
    return dt.datetime.fromtimestamp((id.int >> 80) / 1000, tz=timezone.get_default_timezone())
