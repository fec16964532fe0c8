"""A census of Python source files: a job for each file measures it, and one more adds everything up at the end.

The jobs of one census are a workflow, in which the report waits for the end of all files, and a batch of the same id. Files
that cannot be measured are no failure of the census: a job waits for them, and names them in its log.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery
from furrow import FINAL, Abort, Attempt, Job, RetryPolicy, Snooze, State, current_job, job, workflow
from furrow.plural import counted
from uuid_utils.compat import uuid7

from tasks.source.listing import Listing
from tasks.source.measurement import measure_file
from tasks.source.reading import NotAFile, NotPython, NotText, SourceError, TooDeep, TooLarge
from tasks.source.tally import MAX_SKIPPED, Tally, clip

#: Trying again does not mend these. Any other OSError (a network drive, no free file handle) may pass.
FINAL_ERRORS = (SourceError, FileNotFoundError, PermissionError, NotADirectoryError)
#: Files that are named one by one in the log of those that failed.
MAX_LOGGED = 200
#: The report's words for the errors of measure; for others the name of the error.
_REASONS = {error.__name__: error.reason for error in (NotAFile, NotPython, NotText, TooDeep, TooLarge)} | {
    "FileNotFoundError": "not found",
    "PermissionError": "no permission",
}


@job(
    title="{path}",
    retry=RetryPolicy(max_attempts=3, base=1.0, exceptions=dict.fromkeys(FINAL_ERRORS)),
    soft_timeout=30,
    timeout=60,
)
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
    seen = measures.aggregate(all=Count("pk"), ended=Count("pk", filter=Q(state__in=FINAL)))
    if not seen["all"]:
        raise Abort(f"batch: no {measure.name} job has {batch}. Were they deleted after their time? Take a new census.")
    left = seen["all"] - seen["ended"]
    waiting_for = f"{counted(left, 'file')} to go"
    current_job.progress(seen["ended"] / seen["all"], waiting_for if left else "adding up")
    if left:
        raise Snooze(2.0, waiting_for)  # somebody runs a file's job again
    last = Attempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt"))
    rows = measures.annotate(error_type=Subquery(last.values("error_type")[:1]), outcome=Subquery(last.values("outcome")[:1]))
    tally = Tally()
    for row in rows.order_by("pk").values("arguments", "state", "result", "error", "error_type", "outcome").iterator(500):
        _take(tally, row)
    return tally.report(skipped, skipped_more)


@job(priority=9)
def failures(batch: uuid.UUID) -> int:
    """Log the files of a batch that could not be measured, and why. Gives their number.

    batch: the batch of the measuring jobs.
    """
    failed = Job.objects.filter(batch=batch, kind=measure.name, state=State.FAILED)
    for error in failed.order_by("pk").values_list("error", flat=True)[:MAX_LOGGED]:
        current_job.log("%s", clip(error), level=30)
    return failed.count()


def _take(tally: Tally, row: Mapping[str, Any]) -> None:
    path, package = row["arguments"]["path"], row["arguments"].get("package", "")
    if row["state"] == State.SUCCEEDED:
        tally.add(path, package, row["result"])
    elif row["state"] == State.CANCELLED:
        tally.fail(path, package, "cancelled", row["error"])
    else:
        name = row["error_type"] or row["outcome"] or "failed"
        tally.fail(path, package, _REASONS.get(name, name), row["error"])


@dataclass(frozen=True, slots=True)
class Census:
    """A census that was submitted: its batch, which is its workflow's id too, its report's job, and the number of files that
    became jobs."""

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
    arguments = {"batch": batch, "skipped": skipped, "skipped_more": len(listing.skipped) - len(skipped)}
    rows = [{"path": source.path, "package": source.package} for source in listing.sources]
    with workflow("census", id=batch) as w:
        measured = w.map(measure, rows, name="measure", batch=batch)
        reported = w.add(report, arguments, after=[measured.ended], name="report", batch=batch)
        w.add(failures, {"batch": batch}, after=[measured.failed], name="failures", batch=batch)
        w.result = reported
    last = Job.objects.filter(batch=batch, kind=report.name).values_list("pk", flat=True).get()
    return Census(batch, last, len(rows))
