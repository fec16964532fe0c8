"""Jobs as JSON for programs (names and types are stable: docs/command_line.md) and as table cells for people."""

import datetime as dt
from typing import Any

from django.utils import timezone

from furrow.diagnosis import wording
from furrow.kinds.secret import masked
from furrow.models import Attempt, Job, LogLine
from furrow.models.users import submitter

#: Columns of the table of jobs.
COLUMNS = ("id", "kind", "state", "queue", "created", ">run time", ">attempts", "error")


def job_json(job: Job, *, result: bool = False) -> dict[str, Any]:
    """A job; times are ISO 8601 in UTC or null. Secret arguments are dots."""
    found = {
        "id": job.pk,
        "kind": job.kind,
        "state": job.state,
        "queue": job.queue,
        "priority": job.priority,
        "arguments": masked(job.arguments),
        "meta": masked(job.meta),
        "batch": job.batch,
        "tags": job.tags or [],
        "submitted_by": user.get_username() if (user := submitter(job)) else None,
        **{name: utc(getattr(job, name)) for name in ("created_at", "run_at", "expires_at", "started_at", "finished_at")},
        "attempt": job.attempt,
        "attempts_counted": job.counted_attempts,
        "max_attempts": job.max_attempts,
        "progress": job.progress,
        "progress_note": job.progress_note,
        "error": job.error,
    }
    return {**found, "result": masked(job.result)} if result else found


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """One run."""
    names = ("number", "outcome", "seconds", "worker", "pid", "error_type", "error", "traceback")
    times = {name: utc(getattr(attempt, name)) for name in ("started_at", "finished_at")}
    return {**{name: getattr(attempt, name) for name in names}, **times}


def line_json(line: LogLine) -> dict[str, Any]:
    """A log line; ``level`` is Python's number."""
    at = utc(line.at)
    return {"at": at, "attempt": line.attempt, "level": line.level, "logger": line.logger, "message": line.message}


def cells(job: Job, now: dt.datetime) -> tuple[Any, ...]:
    """A job in the table (see ``COLUMNS``)."""
    began, ended = job.started_at, job.finished_at
    runs = began is not None and (ended is not None or job.state == "running")
    seconds = ((ended or now) - began).total_seconds() if began and runs else None
    created = wording.relative(job.created_at, now)
    if job.run_at > now and ended is None:
        created += f", due {wording.relative(job.run_at, now)}"
    attempts = f"{job.counted_attempts:,} of {job.max_attempts:,}"
    return (job.pk, job.kind, job.state, job.queue, created, wording.span(seconds), attempts, wording.shorten(job.error, 60))


def utc(moment: dt.datetime | None) -> str | None:
    """A time in UTC, to the microsecond."""
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def local(moment: dt.datetime | None, now: dt.datetime) -> str:
    """A time for people: exact in the current zone, and how far away."""
    if moment is None:
        return wording.NOTHING
    return f"{wording.exact(timezone.localtime(moment))} ({wording.relative(moment, now)})"
