"""A result backend for projects that have django-celery-results: with it ``AsyncResult(id)`` finds jobs by their ids alone. Set
``CELERY_RESULT_BACKEND = "furrow.celery_results:JobResultBackend"``; without it only what ``delay`` returns reads jobs."""

from typing import Any

from django_celery_results.backends import DatabaseBackend

from furrow.kinds.results import find, find_group, meta


class JobResultBackend(DatabaseBackend):  # type: ignore[misc]
    """Reads jobs from their rows; ordinary tasks are kept by django-celery-results."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = find(task_id)
        return super()._get_task_meta_for(task_id) if job is None else meta(job)

    def restore_group(self, group_id: str, cache: bool = True) -> Any:
        """A group of jobs, or of tasks that was saved."""
        return find_group(group_id) or super().restore_group(group_id, cache)

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> Any:
        """Celery's revoke: cancels a job; of a task it keeps the state."""
        if (job := find(task_id)) is not None:
            from furrow.actions.jobs import cancel

            return bool(cancel(job.pk, reason="revoked through Celery's remote control"))
        return super().mark_as_revoked(task_id, *args, **kwargs)
