"""External queues: why a job that workers in other languages take is not taken."""

import datetime as dt

from furrow.conf import conf
from furrow.diagnosis.reason import Reason
from furrow.models import Job, Worker
from furrow.states import UNSTARTED, State

#: So many of the latest workers are looked at.
LATEST = 200


def last_asked(job: Job) -> dt.datetime | None:
    """When a worker last asked for this job's kind, by its heartbeats; ``None``: none did, or its queue is not external."""
    if job.queue not in conf().external_queues or State(job.state) not in UNSTARTED:
        return None
    latest = Worker.objects.order_by("-pk")[:LATEST]
    return max(
        (worker.heartbeat_at for worker in latest if job.queue in worker.queues and job.kind in worker.kinds), default=None
    )


def untaken(job: Job, knowing: int, asked_at: dt.datetime | None, ahead: str = "") -> Reason:
    """Why this due job waits. ``knowing``: living workers that ask for its kind."""
    if knowing:
        return Reason(f"An external worker takes it with its next request{ahead}; due", job.run_at)
    remedy = f"Start a worker that asks for {job.kind}, with a token that may take it (docs/other_languages.md)."
    if asked_at is not None:
        return Reason(f"No external worker asks for {job.kind}; the last one did", asked_at, remedy, stuck=True)
    return Reason(f"No external worker has ever asked for {job.kind}; due", job.run_at, remedy, stuck=True)
