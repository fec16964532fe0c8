"""Jobs as table cells for people."""

import datetime as dt
from typing import Any

from django.utils import timezone

from furrow.diagnosis import wording
from furrow.models import Job

#: Columns of the table of jobs.
COLUMNS = ("id", "kind", "state", "queue", "created", ">run time", ">attempts", "error")


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


def local(moment: dt.datetime | None, now: dt.datetime) -> str:
    """A time for people: exact in the current zone, and how far away."""
    if moment is None:
        return wording.NOTHING
    return f"{wording.exact(timezone.localtime(moment))} ({wording.relative(moment, now)})"
