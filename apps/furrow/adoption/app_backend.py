"""The application's result backend, with jobs: ``AsyncResult(id)`` of an adopted task reads its row, whatever backend the
project has. Results of ordinary tasks are where they were."""

from collections.abc import Iterator
from typing import Any

from celery import states
from celery.backends.base import DisabledBackend, SyncBackendMixin

from furrow.kinds.results import JobBackend, find, find_group, job_id, meta


def with_jobs(backend: Any) -> Any:
    """The same backend, of a class below its own."""
    cls = type(backend)
    if not issubclass(cls, WithJobs):
        backend.__class__ = type(cls.__name__, (WithJobs, cls), {"__module__": cls.__module__, "__doc__": cls.__doc__})
    return backend


class WithJobs:
    """Before the project's own backend."""

    def get_task_meta(self: Any, task_id: str, cache: bool = True) -> Any:
        """What it knows, or what the job's row says of a task that it does not know."""
        if isinstance(self, DisabledBackend):
            job = find(task_id)
            return super().get_task_meta(task_id, cache) if job is None else meta(job)  # type: ignore[misc]
        found = super().get_task_meta(task_id, cache)  # type: ignore[misc]
        if found["status"] == states.PENDING and (job := find(task_id)) is not None:
            return meta(job)
        return found

    def wait_for_pending(self: Any, result: Any, *args: Any, **kwargs: Any) -> Any:
        """Of a job by looking at its row: nobody publishes its end where the backend listens."""
        if find(result.id) is None:
            return super().wait_for_pending(result, *args, **kwargs)  # type: ignore[misc]
        kwargs["interval"] = min(kwargs.get("interval") or JobBackend.subpolling_interval, JobBackend.subpolling_interval)
        return SyncBackendMixin.wait_for_pending(self, result, *args, **kwargs)

    def wait_for(self: Any, task_id: str, *args: Any, **kwargs: Any) -> Any:
        """The same."""
        if find(task_id) is None:
            return super().wait_for(task_id, *args, **kwargs)  # type: ignore[misc]
        return SyncBackendMixin.wait_for(self, task_id, *args, **kwargs)

    def _ensure_not_eager(self: Any) -> None:
        if not isinstance(self, DisabledBackend):
            super()._ensure_not_eager()  # type: ignore[misc]

    def iter_native(self: Any, result: Any, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        """Of a set with jobs in it: one after the other."""
        if any(hasattr(one, "results") or find(one.id) is None for one in result.results):
            yield from super().iter_native(result, *args, **kwargs)  # type: ignore[misc]
            return
        for one in result.results:
            found = SyncBackendMixin.wait_for(self, one.id, timeout=kwargs.get("timeout"), interval=0.1)
            one._maybe_set_cache(found)
            yield one.id, found

    def restore_group(self: Any, group_id: str, cache: bool = True) -> Any:
        """A group of jobs, or of tasks that was saved."""
        return find_group(group_id) or super().restore_group(group_id, cache)  # type: ignore[misc]

    def mark_as_revoked(self: Any, task_id: str, *args: Any, **kwargs: Any) -> Any:
        """Celery's revoke: cancels a job."""
        if find(task_id) is None:
            return super().mark_as_revoked(task_id, *args, **kwargs)  # type: ignore[misc]
        from furrow.actions.jobs import cancel

        return cancel(job_id(task_id), reason="revoked through Celery's remote control")

    def forget(self: Any, task_id: str) -> None:
        """What a job returned is forgotten, and that it ran is not."""
        if (job := find(task_id)) is None:
            super().forget(task_id)  # type: ignore[misc]
        else:
            self._cache.pop(task_id, None)
            forget(job)


def forget(job: Any) -> None:
    """Forget what it returned, if it has ended."""
    from furrow.models import Job
    from furrow.states import FINAL

    Job.objects.filter(pk=job.pk, state__in=FINAL).update(result=None)
