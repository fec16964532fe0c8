"""A job's timeline, in order: submitted, attempts, queued, running, ended."""

import datetime as dt
from dataclasses import dataclass

from furrow.models import Attempt, AuditEntry, Job, Worker
from furrow.models.users import find_user
from furrow.states import FINAL, State

#: Attempts that the page shows; older ones are in the list of attempts.
ATTEMPTS = 20


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    at: dt.datetime
    title: str
    detail: str = ""
    #: The state or outcome that gives the colour.
    tone: str = ""
    attempt: Attempt | None = None
    worker: Worker | None = None
    #: Seconds from the end of the attempt before, or from when it was submitted.
    waited: float | None = None


def timeline(job: Job, now: dt.datetime) -> list[Event]:
    """The events of a job, oldest first."""
    attempts = list(Attempt.objects.filter(job=job.pk).order_by("-number")[:ATTEMPTS])
    ids = {attempt.worker for attempt in attempts} | {job.worker}
    workers = Worker.objects.in_bulk([pk for pk in ids if pk is not None])
    events = [Event(job.created_at, "Submitted", _submitter(job), tone="submitted")]
    if attempts and (hidden := attempts[-1].number - 1):
        events.append(Event(attempts[-1].started_at, f"{hidden:,} earlier attempts", "in the list of attempts"))
    before = job.created_at if attempts and attempts[-1].number == 1 else None
    for attempt in reversed(attempts):
        worker = workers.get(attempt.worker) if attempt.worker else None
        waited = (attempt.started_at - before).total_seconds() if before else None
        title = f"Attempt {attempt.number}"
        events.append(
            Event(attempt.started_at, title, tone=attempt.outcome, attempt=attempt, worker=worker, waited=waited)
        )  # fmt: skip
        before = attempt.finished_at
    events += _acts(job)
    events += _present(job, attempts, workers.get(job.worker) if job.worker else None, now)
    return sorted(events, key=lambda event: event.at)


def _acts(job: Job) -> list[Event]:
    """What people did to it."""
    entries = AuditEntry.objects.filter(job=job.pk).order_by("-pk")[:ATTEMPTS]
    return [
        Event(entry.at, entry.action.capitalize(), f"by {entry.who or 'a program'} ({entry.origin}) {entry.detail}", "person")
        for entry in entries
    ]


def _submitter(job: Job) -> str:
    """Read apart from the job: the jobs' lists must not join users."""
    if job.submitted_by_id is None:
        return "by a program"
    user = find_user(job.submitted_by_id)
    return f"by {user.get_username()}" if user else "by a user who was deleted"


def _present(job: Job, attempts: list[Attempt], worker: Worker | None, now: dt.datetime) -> list[Event]:
    events = []
    if job.queued_at:
        events.append(Event(job.queued_at, "Sent to RabbitMQ", f"queue “{job.queue}”", tone="queued"))
    if job.state == State.RUNNING and job.started_at:
        events.append(Event(job.started_at, f"Attempt {job.attempt} runs", tone=State.RUNNING, worker=worker))
    if job.cancel_requested_at:
        events.append(Event(job.cancel_requested_at, "Asked to stop", tone="cancelled"))
    recorded = any(attempt.number == job.attempt for attempt in attempts)
    if job.state in FINAL and job.finished_at and (not recorded or job.state == State.CANCELLED):
        events.append(Event(job.finished_at, job.state.capitalize(), job.error, tone=job.state))
    if job.state == State.PENDING and job.run_at > now:
        events.append(Event(job.run_at, "Due", tone="pending"))
    return events
