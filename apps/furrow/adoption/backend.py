"""The result backend of an adopted task: Celery's tracer leaves the end of a run there, and everybody else reads it there."""

import json
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery import states
from kombu.exceptions import EncodeError

from furrow.adoption.arguments import dumps
from furrow.context import _run
from furrow.kinds.results import JobBackend
from furrow.kinds.returned import Encoded


@dataclass
class Told:
    """What Celery told of a run so far."""

    task_id: str
    result: Encoded | None = None
    #: By ``update_state``: the last state, and its metadata.
    state: str = ""
    meta: Any = None
    #: A retry that was asked for.
    again: Any = None


#: Of the run that this code is in.
current: ContextVar[Told | None] = ContextVar("furrow_task", default=None)


class TaskBackend(JobBackend):
    """See the module."""

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """A task has returned.

        Raises:
            EncodeError: what it returned has no JSON form; the task has failed.
        """
        run = _of(task_id)
        if run is None:
            super().mark_as_done(task_id, result, request, store_result and False, state)
        elif store_result:
            run.result = encoded(result)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Any,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """A task has failed. In an eager run its errbacks are called."""
        if _of(task_id) is None:
            super().mark_as_failure(task_id, exc, traceback, request, False, call_errbacks, state)

    def mark_as_retry(self, task_id: str, exc: Any, *args: Any, **kwargs: Any) -> None:
        """A task is to be tried again."""

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        """Celery's revoke of an adopted task: cancels its job."""
        from furrow.actions.jobs import cancel
        from furrow.kinds.results import job_id

        cancel(job_id(task_id), reason="revoked through Celery")

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        """``update_state``: shown as the job's progress, from which ``AsyncResult`` reads it."""
        run = _of(task_id)
        if run is None or state == states.STARTED:
            return result
        changed, run.state, run.meta = state != run.state, state, result
        if (job := _run.get()) is not None:
            job.progress(_fraction(result), shown(state, result), at_once=changed)
        return result

    def process_cleanup(self) -> None:
        """Nothing is left."""

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """Not possible.

        Raises:
            NotImplementedError: a chord of jobs is a workflow.
        """
        raise NotImplementedError(
            "add_to_chord: the header of a chord of jobs is fixed when it is sent: use replace() with a group"
        )


def _of(task_id: str) -> Told | None:
    run = current.get()
    return run if run is not None and run.task_id == task_id else None


def encoded(result: Any) -> Encoded | None:
    """A result in Celery's JSON.

    Raises:
        EncodeError: it has none.
    """
    if result is None:
        return None
    try:
        return Encoded(dumps(result))
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"the result has no JSON form: {error}") from error


def shown(state: str, meta: Any) -> str:
    """A custom state as the note of a job's progress, of which 200 characters are kept."""
    if meta is None:
        return state
    try:
        return f"{state} {json.dumps(meta, default=str)}"[:200]
    except (TypeError, ValueError):
        return state


def _fraction(meta: Any) -> float:
    """Of metadata as Celery's pages have it: ``{"current": 3, "total": 10}``."""
    if isinstance(meta, dict):
        done, total = (meta.get(name) for name in ("current", "total"))
        if isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
            return min(1.0, max(0.0, done / total))
    return 0.0
