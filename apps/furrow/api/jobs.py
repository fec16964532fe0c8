"""Look at jobs: one, many, its result, its log."""

import uuid
from typing import Annotated, Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import Http404, HttpRequest
from ninja import Query, Router
from ninja.params import functions
from ninja.responses import Status
from pydantic import Field

from furrow.actions.selection import AGES, EARLIEST, LATEST, select
from furrow.admin import keyset
from furrow.api import waiting
from furrow.api.auth import Caller, caller, needs
from furrow.api.shapes import BatchCounts, JobPage, JobResult, LogPage, WholeJob
from furrow.diagnosis.as_json import job_json, line_json, whole_job_json
from furrow.models import Job, LogLine
from furrow.models.api_token import Scope
from furrow.models.users import add_submitters
from furrow.statements import clock
from furrow.states import FINAL, State

router = Router(auth=needs(Scope.READ), tags=["jobs"])

Seconds = Annotated[float, Field(ge=0, le=waiting.LONGEST, allow_inf_nan=False)]
Limit = Annotated[int, Field(ge=1, le=200)]
#: Log lines of one answer.
LINES = 1_000
#: How the document describes times, and ids that may be left empty.
_TIME = f"a time in ISO 8601, of the years {EARLIEST} to {LATEST}"
_ID = "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$"


def find(who: Caller, job_id: uuid.UUID) -> Job:
    """The job, for who may see it.

    Raises:
        Refused: who may see none.
        Http404: it is gone, or the token is not for its kind.
    """
    who.must_view()
    job = Job.objects.filter(pk=job_id).first()
    if job is None or not who.has_kind(job.kind):
        raise Http404(f"There is no job {job_id}; jobs that ended long ago are deleted.")
    return job


def _criterion(description: str, **schema: Any) -> Any:
    """A criterion of the list; an empty text is none. ``schema`` is for the document alone: the selection checks each, and says
    more."""
    found = functions.Query(description=description)
    found.json_schema_extra.update(schema)
    return found


@router.get("/jobs", response=JobPage, operation_id="list_jobs")
def list_jobs(
    request: HttpRequest,
    state: Annotated[str, _criterion("In this state", enum=["", *State])] = "",
    kind: Annotated[str, _criterion("Of this kind")] = "",
    queue: Annotated[str, _criterion("In this queue")] = "",
    tag: Annotated[str, _criterion("With each of these tags, between commas")] = "",
    created: Annotated[str, _criterion("Created in the last hours or days", enum=["", *AGES])] = "",
    since: Annotated[str, _criterion(f"Created then or later: {_TIME}")] = "",
    until: Annotated[str, _criterion(f"Created earlier: {_TIME}")] = "",
    by: Annotated[str, _criterion("Submitted by the user of this name, who must be there")] = "",
    worker: Annotated[str, _criterion("That ran last on the worker of this id, or of this node name")] = "",
    batch: Annotated[str, _criterion("Of this batch", pattern=_ID)] = "",
    again_of: Annotated[str, _criterion("That repeat this job", pattern=_ID)] = "",
    fingerprint: Annotated[str, _criterion("Whose last run failed with an error of this group")] = "",
    q: Annotated[str, _criterion("A search, as in the admin: account_id=7, or text")] = "",
    limit: Limit = 30,
    after: uuid.UUID | None = None,
    before: uuid.UUID | None = None,
    patient: bool = False,
) -> Any:
    """The newest jobs that meet all criteria, which are those of the list in the admin; in pages by key."""
    who = caller(request)
    who.must_view()
    criteria = {"state": state, "kind": kind, "queue": queue, "tag": tag, "created": created, "since": since, "until": until}
    criteria |= {"by": by, "worker": worker, "batch": batch, "again_of": again_of, "fingerprint": fingerprint, "q": q}
    rows = Job.objects.filter(kind__in=who.kinds) if who.kinds else Job.objects.all()
    found = keyset.page(select(criteria, rows), keyset.Place(after, before, patient), limit)
    add_submitters(found.rows)

    def address(**place: Any) -> str:
        given = {name: value for name, value in request.GET.items() if name not in ("after", "before", "patient")}
        return f"{request.path}?{urlencode({**given, **place})}"

    further = {"patient": "true", **({"after": found.searched_to} if found.searched_to else {})}
    return {
        "jobs": [job_json(job) for job in found.rows],
        "next": address(after=found.rows[-1].pk) if found.older and found.rows else None,
        "previous": address(before=found.rows[0].pk) if found.newer and found.rows else None,
        "searched": found.searched or None,
        "further": address(**further) if found.searched_to or found.gave_up else None,
    }


@router.get("/batches/{batch}", response=BatchCounts, operation_id="get_batch")
def get_batch(request: HttpRequest, batch: uuid.UUID) -> Any:
    """How many jobs of a batch are in each state."""
    who = caller(request)
    who.must_view()
    rows = Job.objects.filter(batch=batch)
    rows = rows.filter(kind__in=who.kinds) if who.kinds else rows
    counts: Any = dict(rows.order_by().values_list("state").annotate(Count("pk")))
    if not counts:
        raise Http404(f"There is no job of the batch {batch}; jobs that ended long ago are deleted.")
    return {"batch": batch, "jobs": sum(counts.values()), "states": counts}


@router.get("/jobs/{job_id}", response=WholeJob, operation_id="get_job")
def get_job(request: HttpRequest, job_id: uuid.UUID) -> Any:
    """One job: its result, its attempts, and why it waits."""
    return whole_job_json(find(caller(request), job_id), clock.now())


@router.get("/jobs/{job_id}/result", response={200: JobResult, 202: JobResult}, operation_id="wait_for_job")
def wait_for_job(request: HttpRequest, job_id: uuid.UUID, wait: Seconds = 0) -> Any:
    """A job with its result, as soon as it has ended (200), or after ``wait`` seconds as it is then (202: ask again)."""
    who = caller(request)

    def look() -> tuple[Job, bool]:
        job = find(who, job_id)
        return job, job.state in FINAL

    job = waiting.until(look, wait)
    ended = job.state in FINAL
    return Status(200 if ended else 202, {**job_json(job, result=True), "ended": ended})


@router.get("/jobs/{job_id}/logs", response=LogPage, operation_id="get_logs")
def get_logs(
    request: HttpRequest,
    job_id: uuid.UUID,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    level: Annotated[int, Query(ge=0, le=50)] = 0,
    limit: Annotated[int, Query(ge=1, le=LINES)] = LINES,
    wait: Seconds = 0,
) -> Any:
    """Log lines after ``after`` (0: from the beginning), oldest first. With ``wait`` it waits so many seconds for the next one:
    ask again with the answer's ``after`` until ``ended``."""
    who = caller(request)
    rows = LogLine.objects.filter(job=job_id, pk__gt=after, level__gte=level).order_by("pk")
    rows = rows if attempt is None else rows.filter(attempt=attempt)

    def look() -> tuple[tuple[list[LogLine], bool], bool]:
        ended = find(who, job_id).state in FINAL  # first: what is logged before the end is committed with it
        lines = list(rows[:limit])
        return (lines, ended and len(lines) < limit), bool(lines) or ended

    lines, ended = waiting.until(look, wait)
    return {"lines": [line_json(line) for line in lines], "after": lines[-1].pk if lines else after, "ended": ended}
