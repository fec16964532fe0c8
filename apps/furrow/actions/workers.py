"""Requests to a worker, through the database: the worker polls once a second, so a request survives a lost message and a
RabbitMQ that is down."""

import uuid

from django.db.models import QuerySet
from django.db.models.functions import Now

from furrow.models import Job, Worker, WorkerRequest
from furrow.statements import clock
from furrow.states import State

Action = WorkerRequest.Action


def ask(worker: uuid.UUID, action: Action, *, subject: str = "", by: str = "") -> WorkerRequest | None:
    """Ask a living worker to do this; what it says to it is in the row's ``answer``. Asked again before it was taken, it is the
    same request.

    Args:
        subject: the queue to pause or resume, the job whose stack is wanted.
        by: who asks; at most 150 characters are kept.

    Returns:
        ``None`` when that worker does not live any more: its lease is over.
    """
    living = Worker.objects.filter(pk=worker, stopped_at__isnull=True, lease_until__gt=Now())
    if not living.exists():
        return None
    waiting = WorkerRequest.objects.filter(worker=worker, action=action, subject=subject, taken_at__isnull=True)
    return waiting.first() or WorkerRequest.objects.create(
        worker=worker, action=action, subject=subject[:100], asked_by=by[:150], asked_at=clock.now()
    )


def ask_for_stack(job: uuid.UUID, *, by: str = "") -> WorkerRequest | None:
    """Ask the worker that runs this job where it is; ``None`` when no living one does."""
    worker = Job.objects.filter(pk=job, state=State.RUNNING).values_list("worker", flat=True).first()
    return ask(worker, Action.STACK, subject=str(job), by=by) if worker else None


def requests(worker: uuid.UUID) -> QuerySet[WorkerRequest]:
    """What was asked of this worker, the newest first."""
    return WorkerRequest.objects.filter(worker=worker).order_by("-pk")
