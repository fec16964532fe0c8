"""A census of Python source files: a job for each file measures it, and one more adds everything up.

The jobs of one census share a batch. They are submitted in one transaction, the report with them; it snoozes until the last
file is done.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import router, transaction
from django.db.models import Count, Min, OuterRef, Q, Subquery
from django.utils import timezone
from furrow import FINAL, Abort, Attempt, Job, RetryPolicy, Snooze, State, current_job, job, submit, submit_many
from furrow.plural import counted
from uuid_utils.compat import uuid7

from tasks.source.listing import Listing
from tasks.source.measurement import measure_file
from tasks.source.reading import NotAFile, NotPython, NotText, SourceError, TooDeep, TooLarge
from tasks.source.tally import MAX_SKIPPED, Tally, clip

#: Trying again does not mend these. Any other OSError (a network drive, no free file handle) may pass.
FINAL_ERRORS = (SourceError, FileNotFoundError, PermissionError, NotADirectoryError)
#: The report's words for the errors of measure; for others the name of the error.
_REASONS = {error.__name__: error.reason for error in (NotAFile, NotPython, NotText, TooDeep, TooLarge)} | {
    "FileNotFoundError": "not found",
    "PermissionError": "no permission",
}


@job(retry=RetryPolicy(max_attempts=3, base=1.0, exceptions=dict.fromkeys(FINAL_ERRORS)), soft_timeout=30, timeout=60)
def measure(path: str, package: str = "") -> dict[str, Any]:
    """Measure one Python source file. Fails with the file, the line and the reason if it cannot be read or parsed.

    path: the file, as the worker's machine sees it.
    package: the package that the report counts it for.
    """
    return measure_file(path)


@job(priority=9, retry=RetryPolicy(max_attempts=5), soft_timeout=300, timeout=600)
def report(batch: uuid.UUID, skipped: tuple[str, ...] = (), skipped_more: int = 0) -> dict[str, Any]:
    """Add up the measurements of a batch, once all of them have ended.

    batch: the batch of the measuring jobs.
    skipped: what was passed over when the folders were listed, and why.
    skipped_more: how many more were passed over.
    """
    measures = Job.objects.filter(batch=batch, kind=measure.name)
    seen = measures.aggregate(all=Count("pk"), ended=Count("pk", filter=Q(state__in=FINAL)), begun=Min("started_at"))
    if not seen["all"]:
        raise Abort(f"batch: no {measure.name} job has {batch}. Were they deleted after their time? Take a new census.")
    left = seen["all"] - seen["ended"]
    waiting_for = f"{counted(left, 'file')} to go"
    current_job.progress(seen["ended"] / seen["all"], waiting_for if left else "adding up")
    if left:
        raise Snooze(pause(left, seen["ended"], timezone.now() - (seen["begun"] or timezone.now())), waiting_for)
    last = Attempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt"))
    rows = measures.annotate(error_type=Subquery(last.values("error_type")[:1]), outcome=Subquery(last.values("outcome")[:1]))
    tally = Tally()
    for row in rows.order_by("pk").values("arguments", "state", "result", "error", "error_type", "outcome").iterator(500):
        _take(tally, row)
    return tally.report(skipped, skipped_more)


def _take(tally: Tally, row: Mapping[str, Any]) -> None:
    path, package = row["arguments"]["path"], row["arguments"].get("package", "")
    if row["state"] == State.SUCCEEDED:
        tally.add(path, package, row["result"])
    elif row["state"] == State.CANCELLED:
        tally.fail(path, package, "cancelled", row["error"])
    else:
        name = row["error_type"] or row["outcome"] or "failed"
        tally.fail(path, package, _REASONS.get(name, name), row["error"])


def pause(left: int, ended: int, elapsed: dt.timedelta) -> float:
    """Seconds until the report looks again: half of what the files to go will take at the pace so far, from 0.5 to 10."""
    seconds = left * elapsed.total_seconds() / ended / 2 if ended else 2.0
    return min(10.0, max(0.5, seconds))


@dataclass(frozen=True, slots=True)
class Census:
    """A census that was submitted: its batch, its report's job, and the number of files that became jobs."""

    batch: uuid.UUID
    report: uuid.UUID
    files: int


def submit_census(listing: Listing) -> Census:
    """Submit a job for each file and the report, all or none.

    Raises:
        ArgumentError: a path cannot be stored; names its row. :func:`tasks.source.listing.list_sources` skips such paths.
    """
    batch = uuid7()
    skipped = [clip(text) for text in listing.skipped[:MAX_SKIPPED]]
    with transaction.atomic(using=router.db_for_write(Job)):
        ids = submit_many(measure, ({"path": s.path, "package": s.package} for s in listing.sources), batch=batch)
        arguments = {"batch": batch, "skipped": skipped, "skipped_more": len(listing.skipped) - len(skipped)}
        last = submit(report, arguments, batch=batch)
    return Census(batch, last.id, len(ids))
