"""How far a backfill is: counts, a share, the time that is left."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from furrow.backfills.acting import UNENDED
from furrow.kinds.secret import masked
from furrow.models import Backfill, Job
from furrow.models.backfill import BackfillState
from furrow.states import State


@dataclass(frozen=True)
class Progress:
    """Of one, now."""

    unended: int
    failed: int
    cancelled: int
    #: From 0 to 1; ``None``: nobody can tell.
    share: float | None
    #: Seconds until the last row has its job, as fast as it went since it began or went on.
    left: float | None

    def succeeded(self, row: Backfill) -> int:
        """Jobs that neither failed nor were cancelled, and have ended."""
        return max(0, row.made - row.existed - self.unended - self.failed - self.cancelled)


def progress(row: Backfill, now: dt.datetime) -> Progress:
    """Look at its jobs. Of one that ended long ago these are gone: what the row says counts then."""
    jobs = Job.objects.filter(batch=row.pk).order_by()
    counts = {state: jobs.filter(state=state).count() for state in (State.FAILED, State.CANCELLED)}
    unended = jobs.filter(state__in=UNENDED).count()
    failed = counts[State.FAILED]
    if row.finished_at is not None and not jobs.exists():
        failed = row.failed
    share = _share(row)
    return Progress(unended, failed, counts[State.CANCELLED], share, _left(row, share, now))


def _share(row: Backfill) -> float | None:
    if row.exhausted_at is not None:
        return 1.0
    if row.total:
        return min(1.0, row.rows / row.total)
    if isinstance(row.first, int) and isinstance(row.last, int) and row.last > row.first:
        reached = row.reached if isinstance(row.reached, int) else row.first
        return min(1.0, max(0.0, (reached - row.first) / (row.last - row.first)))
    return None


def _left(row: Backfill, share: float | None, now: dt.datetime) -> float | None:
    """By the rows since it began or went on."""
    since, seconds = row.rows - row.resumed_rows, (now - row.resumed_at).total_seconds()
    if row.state != BackfillState.RUNNING or not share or since <= 0 or seconds <= 0:
        return None
    return 0.0 if share >= 1 else (row.rows / share - row.rows) / (since / seconds)


def as_json(row: Backfill, now: dt.datetime) -> dict[str, Any]:
    """Its facts: for the command line and programs. Secrets are masked."""
    found = progress(row, now)
    return {
        "id": row.pk,
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason or row.held,
        "parameters": masked(row.parameters),
        "argument": row.argument,
        "arguments": masked(row.arguments),
        "batch": row.batch,
        "rate": row.rate,
        "max_failures": row.max_failures,
        "total": row.total,
        "rows": row.rows,
        "jobs": row.made,
        "unended": found.unended,
        "succeeded": found.succeeded(row),
        "failed": found.failed,
        "cancelled": found.cancelled,
        "existed": row.existed,
        "first": row.first,
        "last": row.last,
        "reached": row.reached,
        "share": found.share,
        "seconds_left": found.left,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }
