"""A job as Celery's result: ``charge.delay(7).get()`` reads the job's row."""

import json
import time
import uuid
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from celery import current_app
from celery import states as celery_states
from celery.backends.base import BaseBackend, DisabledBackend
from celery.backends.rpc import RPCBackend
from celery.exceptions import ChordError, TaskRevokedError
from celery.result import AsyncResult, GroupResult, assert_will_not_block
from django.db.models import QuerySet
from vine import barrier

from furrow.errors import JobCancelled, JobFailed
from furrow.kinds.kind import find_kind
from furrow.kinds.secret import masked
from furrow.models import Attempt, Edge, Job, Node
from furrow.models.json_field import Unreadable
from furrow.states import FINAL, Condition, NodeState, State

_CELERY_STATE = {
    State.WAITING: celery_states.PENDING,
    State.PENDING: celery_states.PENDING,
    State.QUEUED: celery_states.PENDING,
    State.RUNNING: celery_states.STARTED,
    State.SUCCEEDED: celery_states.SUCCESS,
    State.FAILED: celery_states.FAILURE,
    State.CANCELLED: celery_states.REVOKED,
}


#: Jobs of a group that are read at once.
AT_ONCE = 1_000


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
    """Jobs of a group, which are read many at once. Nothing needs to be saved: their rows say to which group they belong."""

    def join(self, timeout: float | None = None, propagate: bool = True, **options: Any) -> list[Any]:
        """The results, in order; waits for all of them, or for the first failure that it sees."""
        if options.get("disable_sync_subtasks", True):
            assert_will_not_block()
        until = None if timeout is None else time.monotonic() + timeout
        while not self._read() and (until is None or time.monotonic() < until):
            if propagate and self._any_in(celery_states.PROPAGATE_STATES):
                break
            time.sleep(JobBackend.subpolling_interval)
        left = None if until is None else max(0.0, until - time.monotonic())
        return list(super().join(left, propagate, **options))

    def ready(self) -> bool:
        """Whether all have ended."""
        return self._read()

    def successful(self) -> bool:
        """Whether all have succeeded."""
        return self._read() and bool(super().successful())

    def failed(self) -> bool:
        """Whether one has failed."""
        all_known = self._read()
        return self._any_in({celery_states.FAILURE}) or (not all_known and bool(super().failed()))

    def _members(self) -> Iterator[JobResult]:
        for result in self.results:
            yield from result._members() if isinstance(result, JobGroup) else [result]

    def _read(self) -> bool:
        """Read those that have ended, up to some that have not; whether all have."""
        unknown = [member for member in self._members() if member._cache is None]
        causes: dict[uuid.UUID, JobFailed | None] = {}
        for at in range(0, len(unknown), AT_ONCE):
            part = {member.id: member for member in unknown[at : at + AT_ONCE]}
            ended = list(Job.objects.filter(pk__in=part, state__in=FINAL))
            for job in ended:
                part[str(job.pk)]._maybe_set_cache(meta(job, causes))
            if len(ended) < len(part):
                return False
        return True

    def _any_in(self, states: Collection[str]) -> bool:
        return any(member._cache and member._cache["status"] in states for member in self._members())

    def save(self, backend: Any = None) -> None:
        """Nothing is left to do."""

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: Any = None) -> "JobGroup | None":
        """The group of this id."""
        return find_group(id)


def job_result(id: object) -> JobResult:
    """A job as Celery's result."""
    return JobResult(str(id), backend=_backend(current_app._get_current_object()))


@cache
def _backend(app: Any) -> JobBackend:
    return JobBackend(app, max_cached_results=-1)  # each result remembers its own end


def find_group(id: str) -> JobGroup | None:
    """The jobs of a group, in its order, without the groups within it."""
    found = _results(Job.objects.filter(batch=job_id(id)))
    return JobGroup(id, found, ready_barrier=barrier()) if found else None


def _results(jobs: QuerySet[Job]) -> list[JobResult]:
    return [job_result(pk) for pk in jobs.order_by("pk").values_list("pk", flat=True)]


#: Ids of tasks that are no UUIDs are mapped to ids of jobs by this one.
_NAMESPACE = uuid.UUID("6f0a2b0e-7d5c-5b57-9a6e-2f6b8a4c1d33")


def job_id(task_id: object) -> uuid.UUID:
    """The id of the job that a task of this id becomes: the same, if it is a UUID, else always the same of the same text."""
    try:
        return uuid.UUID(str(task_id))
    except ValueError:
        return uuid.uuid5(_NAMESPACE, str(task_id))


def find(task_id: str) -> Job | None:
    """The job of this id."""
    return Job.objects.filter(pk=job_id(task_id)).first()


def meta(job: Job, causes: dict[uuid.UUID, JobFailed | None] | None = None) -> dict[str, Any]:
    """A job as Celery's result metadata. ``causes``: why nodes were skipped, as far as it is known; is added to."""
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
        causes = {} if causes is None else causes
        if job.node is not None and job.node not in causes:
            causes[job.node] = _cause(job.node)
        result = (job.node and causes[job.node]) or JobCancelled(job.error or "cancelled")
        state = State.FAILED if isinstance(result, JobFailed) else state
    kind = find_kind(job.kind)
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
        **(kind.told(job) if kind is not None and not isinstance(result, ChordFailed) else {}),
    }


def _cause(skipped: uuid.UUID) -> JobFailed | None:
    """The failure because of which a node was skipped, as Celery tells it of what follows in a chain, or of a chord's body."""
    node: uuid.UUID | None = skipped
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
