"""The result backend: ``AsyncResult(job.id).get()`` reads the job's row; ordinary tasks are kept by django-celery-results."""

import uuid
from typing import Any

from celery import states as celery_states
from django_celery_results.backends import DatabaseBackend

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


class JobResultBackend(DatabaseBackend):
    """Set as ``result_backend``."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = self._job(task_id)
        return super()._get_task_meta_for(task_id) if job is None else _meta(job)

    def _job(self, task_id: str) -> Job | None:
        try:
            return Job.objects.filter(pk=uuid.UUID(str(task_id))).first()
        except ValueError:
            return None

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> Any:
        """Celery's revoke: cancels a job; of a task it keeps the state."""
        if self._job(task_id) is not None:
            from furrow.actions.jobs import cancel

            return bool(cancel(uuid.UUID(task_id), reason="revoked through Celery's remote control"))
        return super().mark_as_revoked(task_id, *args, **kwargs)


def _meta(job: Job) -> dict[str, Any]:
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
