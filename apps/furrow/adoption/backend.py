"""The result backend of an adopted task: Celery's tracer leaves the end of a run there, and everybody else reads it there."""

import json
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery import states
from celery.backends.base import DisabledBackend
from kombu.exceptions import EncodeError

from furrow.adoption.arguments import dumps
from furrow.context import _run
from furrow.kinds.results import JobBackend, find
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
            self.app.backend.mark_as_done(task_id, result, request, store_result, state)
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
        """A task has failed. Errbacks are called of what is no job: in an eager run, or in the header of an ordinary chord."""
        if _of(task_id) is None:
            self.app.backend.mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def mark_as_retry(self, task_id: str, exc: Any, *args: Any, **kwargs: Any) -> None:
        """A task is to be tried again."""
        if _of(task_id) is None:
            self.app.backend.mark_as_retry(task_id, exc, *args, **kwargs)

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        """Celery's revoke: cancels a job."""
        self.app.backend.mark_as_revoked(task_id, *args, **kwargs)

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        """``update_state``: shown as the job's progress, from which ``AsyncResult`` reads it."""
        run = _of(task_id)
        if run is None:
            return self.app.backend.store_result(task_id, result, state, *args, **kwargs)
        if state == states.STARTED:
            return result
        changed, run.state, run.meta = state != run.state, state, result
        if (job := _run.get()) is not None:
            job.progress(_fraction(result), shown(state, result), at_once=changed)
        return result

    def process_cleanup(self) -> None:
        """Of what is no job."""
        if _run.get() is None:
            self.app.backend.process_cleanup()

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = find(task_id)
        found: dict[str, Any] = self.app.backend.get_task_meta(task_id) if job is None and self._is_kept() else {}
        return found or super()._get_task_meta_for(task_id)

    def _is_kept(self) -> bool:
        return not isinstance(self.app.backend, DisabledBackend)

    def forget(self, task_id: str) -> None:
        """What a job returned is forgotten."""
        self.app.backend.forget(task_id)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """A part of an ordinary chord."""
        if _run.get() is None:
            self.app.backend.on_chord_part_return(request, state, result, **kwargs)

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
