"""A job as Celery's result: ``charge.delay(7).get()`` reads the job's row."""

import json
import uuid
from typing import Any

from celery import current_app
from celery import states as celery_states
from celery.backends.base import BaseBackend, DisabledBackend
from celery.backends.rpc import RPCBackend
from celery.exceptions import TaskRevokedError

from furrow.errors import JobCancelled, JobFailed
from furrow.kinds.secret import masked
from furrow.models import Attempt, Job
from furrow.models.json_field import Unreadable
from furrow.states import State

_CELERY_STATE = {
    State.WAITING: celery_states.PENDING,
    State.PENDING: celery_states.PENDING,
    State.QUEUED: celery_states.PENDING,
    State.RUNNING: celery_states.STARTED,
    State.SUCCEEDED: celery_states.SUCCESS,
    State.FAILED: celery_states.FAILURE,
    State.CANCELLED: celery_states.REVOKED,
}


class JobBackend(BaseBackend):  # type: ignore[misc]
    """Reads jobs. Results of jobs (``charge.delay(…)``) have it, whatever backend the project's tasks have."""

    subpolling_interval = 0.1

    def _ensure_not_eager(self) -> None:
        """With ``task_always_eager`` Celery keeps no results; a job's is in its row."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = find(task_id)
        return {"status": celery_states.PENDING, "result": None} if job is None else meta(job)


def find(task_id: str) -> Job | None:
    """The job of this id."""
    try:
        return Job.objects.filter(pk=uuid.UUID(str(task_id))).first()
    except ValueError:
        return None


def meta(job: Job) -> dict[str, Any]:
    """A job as Celery's result metadata."""
    state = State(job.state)
    result: Any = job.result
    trace = None
    if state is State.FAILED:
        result = JobFailed(job.error or "failed")
        last = Attempt.objects.filter(job=job, number=job.attempt).first()
        trace = last.traceback if last else None
    elif isinstance(result, Unreadable):
        state, result = State.FAILED, JobFailed(f"the job succeeded, but its result cannot be read: {result.reason}")
    elif state is State.CANCELLED:
        result = JobCancelled(job.error or "cancelled")
    return {
        "task_id": str(job.id),
        "status": _CELERY_STATE[state],
        "result": result,
        "traceback": trace,
        "children": [],
        "date_done": job.finished_at.isoformat() if job.finished_at else None,
        "name": job.kind,
        "kwargs": masked(job.arguments),
        "retries": max(0, job.counted_attempts - 1),
        "queue": job.queue,
    }


# --- For Celery clients elsewhere ---------------------------------------------------------------------------------------------


def keeps_results() -> bool:
    """The project's result backend keeps results where clients elsewhere can read them: Redis, a database."""
    return not isinstance(current_app.backend, (DisabledBackend, RPCBackend))


def told(task_id: str, job: Job | None, refused: str = "") -> dict[str, Any]:
    """How a task ended, in the words of Celery's results. ``job``: ``None`` when there is none, or none any more."""
    if job is None:
        error = JobFailed(refused or "the job was deleted")
        return {"task_id": task_id, "status": celery_states.FAILURE, "result": error, "traceback": None, "date_done": None}
    found = meta(job)
    result = TaskRevokedError(*found["result"].args) if found["status"] == celery_states.REVOKED else found["result"]
    return {**{name: found[name] for name in ("status", "traceback", "date_done")}, "task_id": task_id, "result": result}


def store(found: dict[str, Any]) -> None:
    """Write it into the project's result backend.

    Raises:
        Exception: whatever the backend raises.
    """
    current_app.backend.store_result(found["task_id"], found["result"], found["status"], traceback=found["traceback"])


def as_reply(found: dict[str, Any]) -> bytes:
    """The message that a client with the result backend ``rpc://`` waits for."""
    result = found["result"]
    if isinstance(result, BaseException):
        result = JobBackend(current_app).prepare_exception(result, serializer="json")
    return json.dumps({**found, "result": result, "children": []}).encode()
