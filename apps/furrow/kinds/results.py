"""A job as Celery's result: ``charge.delay(7).get()`` reads the job's row."""

import uuid
from typing import Any

from celery import states as celery_states
from celery.backends.base import BaseBackend

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
