"""A job as Celery's result: ``charge.delay(7).get()`` reads the job's row."""

import json
import uuid
from typing import Any

from celery import current_app
from celery import states as celery_states
from celery.backends.base import BaseBackend, DisabledBackend
from celery.backends.rpc import RPCBackend
from celery.exceptions import ChordError, TaskRevokedError
from celery.result import AsyncResult, GroupResult
from django.db.models import QuerySet
from vine import barrier

from furrow.errors import JobCancelled, JobFailed
from furrow.kinds.secret import masked
from furrow.models import Attempt, Edge, Job, Node
from furrow.models.json_field import Unreadable
from furrow.states import Condition, NodeState, State

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

    def restore_group(self, group_id: str, cache: bool = True) -> "JobGroup | None":
        """The group of this id; its jobs say that they are in it."""
        return find_group(group_id)


class ChordFailed(JobFailed, ChordError):  # type: ignore[misc]
    """A part of a chord's header failed, and the body is skipped. Raised by ``AsyncResult.get()``."""


class JobResult(AsyncResult):  # type: ignore[misc]
    """A job."""

    @property
    def children(self) -> list["JobResult"] | None:
        """What its success lets go; ``None`` before it has ended."""
        if not self.ready():
            return None
        node = Job.objects.filter(pk=self.id).values_list("node", flat=True).first()
        if node is None:
            return []
        after = Edge.objects.filter(parent=node, condition=Condition.SUCCESS).values("child")
        return _results(Job.objects.filter(node__in=after))


class JobGroup(GroupResult):  # type: ignore[misc]
    """Jobs of a group. Nothing needs to be saved: their rows say to which group they belong."""

    def save(self, backend: Any = None) -> None:
        """Nothing is left to do."""

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: Any = None) -> "JobGroup | None":
        """The group of this id."""
        return find_group(id)


def job_result(id: object) -> JobResult:
    """A job as Celery's result."""
    return JobResult(str(id), backend=JobBackend(current_app))


def find_group(id: str) -> JobGroup | None:
    """The jobs of a group, in its order, without the groups within it."""
    try:
        found = _results(Job.objects.filter(batch=uuid.UUID(str(id))))
    except ValueError:
        return None
    return JobGroup(id, found, ready_barrier=barrier()) if found else None


def _results(jobs: QuerySet[Job]) -> list[JobResult]:
    return [job_result(pk) for pk in jobs.order_by("pk").values_list("pk", flat=True)]


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
        result = _cause(job.node) or JobCancelled(job.error or "cancelled")
        state = State.FAILED if isinstance(result, JobFailed) else state
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


def _cause(node: uuid.UUID | None) -> JobFailed | None:
    """The failure because of which a node was skipped, as Celery tells it of what follows in a chain, or of a chord's body."""
    while node is not None and Node.objects.filter(pk=node, state=NodeState.SKIPPED).exists():
        edges = list(Edge.objects.filter(child=node).order_by("pk"))
        missed = next((edge.parent for edge in edges if edge.met is False), None)
        parent = Node.objects.filter(pk=missed).first() if missed else None
        if parent is not None and parent.state == NodeState.FAILED:
            job = Job.objects.filter(node=parent.pk, state=State.FAILED).order_by("pk").first()
            said = f"{job.kind} {job.pk} failed: {job.error}" if job else f"{parent.name!r} failed"
            return ChordFailed(said) if len(edges) > 1 or parent.sort == Node.Sort.MAP else JobFailed(said)
        node = missed
    return None


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
