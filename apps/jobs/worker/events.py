"""Celery's events about jobs, for Flower: sent in groups, from the worker's main process."""

from collections.abc import Callable
from typing import Any

from celery.worker import state as celery_state

from apps.jobs.statements import Claimed, Settlement
from apps.jobs.states import Outcome, State

#: Events in one message.
GROUP = 1_000
#: Characters of the arguments and results that Flower gets to see.
SHOWN = 300


class ActiveJob:
    """What Celery's worker knows of a running job, for ``inspect active`` and the revoke command."""

    def __init__(self, job: Claimed, pid: int, at: float, hostname: str) -> None:
        self.id, self.name, self.worker_pid, self.time_start = str(job.id), job.kind, pid, at
        self._arguments, self.hostname = job.arguments, hostname
        self.acknowledged = True

    def info(self, safe: bool = False) -> dict[str, Any]:
        """As Celery's ``Request.info``."""
        return {
            "id": self.id,
            "name": self.name,
            "args": [],
            "kwargs": self._arguments[:SHOWN],
            "type": self.name,
            "hostname": self.hostname,
            "time_start": self.time_start,
            "acknowledged": True,
            "delivery_info": {},
            "worker_pid": self.worker_pid,
        }

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Flower's Terminate: cancel the job."""
        from apps.jobs.worker.remote import cancel_from_celery

        cancel_from_celery(self.id)


class Events:
    """Tells Celery's event dispatcher (if events are on) and Celery's own state what happens to jobs."""

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname
        self.dispatcher: Callable[[], Any] = lambda: None

    def _send(self, type: str, id: str, **fields: Any) -> None:
        dispatcher = self.dispatcher()
        if dispatcher is not None and dispatcher.enabled:
            dispatcher.buffer_limit = GROUP
            dispatcher.send(type, uuid=id, **fields)

    def received(self, jobs: list[Claimed]) -> None:
        """Jobs were claimed."""
        for job in jobs:
            self._send(
                "task-received",
                str(job.id),
                name=job.kind,
                args="",
                kwargs=job.arguments[:SHOWN],
                retries=job.attempt - 1,
                root_id=str(job.id),
                parent_id=None,
                eta=None,
                expires=None,
            )

    def started(self, job: Claimed, pid: int, at: float) -> None:
        """A pool process began a job."""
        active = ActiveJob(job, pid, at, self.hostname)
        celery_state.requests[active.id] = active
        celery_state.active_requests.add(active)
        celery_state.total_count[job.kind] += 1
        self._send("task-started", active.id)

    def forget(self, job: Claimed) -> None:
        """It runs here no longer, and nobody knows how it ends."""
        celery_state.requests.pop(str(job.id), None)

    def ended(self, job: Claimed, settlement: Settlement) -> None:
        """A run is over."""
        id = str(job.id)
        celery_state.requests.pop(id, None)
        seconds = max(0.0, settlement.finished - settlement.started)
        if settlement.state == State.SUCCEEDED:
            self._send("task-succeeded", id, result=(settlement.result or "null")[:SHOWN], runtime=seconds)
        elif settlement.outcome in (Outcome.SNOOZED, Outcome.INTERRUPTED) or settlement.state == State.PENDING:
            self._send("task-retried", id, exception=settlement.error[:SHOWN], traceback=settlement.traceback[:2_000])
        elif settlement.state == State.CANCELLED:
            self._send("task-revoked", id, terminated=True, signum=None, expired=False)
        else:
            self._send("task-failed", id, exception=settlement.error[:SHOWN], traceback=settlement.traceback[:2_000])
