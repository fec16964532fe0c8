"""Act on a job: cancel, retry, run now, snooze."""

import datetime as dt
import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Router

from furrow.actions import bulk
from furrow.actions.audit import audit
from furrow.api.auth import caller, needs
from furrow.api.jobs import find
from furrow.api.shapes import JobShape, Postponed
from furrow.diagnosis.as_json import job_json
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.statements import clock
from furrow.web.problems import Refused

router = Router(auth=needs(Scope.ACT), tags=["actions"])
#: Why nothing was changed.
_OTHERWISE = {
    "cancel": "it had ended",
    "retry": "it has not ended",
    "run now": "it is not scheduled for later",
    "snooze": "it has begun, has ended, or expires before that",
}


@router.post("/jobs/{job_id}/cancel", response=JobShape, operation_id="cancel_job")
def cancel_job(request: HttpRequest, job_id: uuid.UUID) -> Any:
    """Cancel a job; one that runs is asked to stop."""
    return _act(request, job_id, "cancel", reason=f"cancelled by {caller(request).user.get_username()}")


@router.post("/jobs/{job_id}/retry", response=JobShape, operation_id="retry_job")
def retry_job(request: HttpRequest, job_id: uuid.UUID) -> Any:
    """Run a job that has ended again."""
    return _act(request, job_id, "retry")


@router.post("/jobs/{job_id}/run-now", response=JobShape, operation_id="run_job_now")
def run_job_now(request: HttpRequest, job_id: uuid.UUID) -> Any:
    """Make a job that is due later due now."""
    return _act(request, job_id, "run now")


@router.post("/jobs/{job_id}/snooze", response=JobShape, operation_id="snooze_job")
def snooze_job(request: HttpRequest, job_id: uuid.UUID, snooze: Postponed) -> Any:
    """Postpone a job that has not begun."""
    if (snooze.until is None) == (snooze.seconds is None):
        raise Refused(422, fields={"until": "give either until or seconds"})
    until = snooze.until if snooze.seconds is None else clock.now() + dt.timedelta(seconds=snooze.seconds)
    return _act(request, job_id, "snooze", {"until": until})


def _act(request: HttpRequest, job_id: uuid.UUID, action: str, given: dict[str, Any] | None = None, **more: str) -> Any:
    """Do it as the admin does, by the same statements and permissions.

    Raises:
        Refused: 409, when nothing was changed.
    """
    who = caller(request)
    job = find(who, job_id)
    who.must_act(job.kind)
    options = bulk.check(action, given or {})
    with atomic():
        done = bulk.perform(action, [job.pk], options, **more)
        if done.changed:
            detail = ", ".join(f"{name} {value}" for name, value in options.items())
            audit(action, by=who.user, origin=Origin.API, target=f"job {job.kind}", job=job.pk, detail=detail, token=who.named)
    job = find(who, job_id)
    if done.locked:
        raise Refused(409, "Nothing was changed: another transaction has locked the job's row. Try again.", retry_after=1)
    if not done.changed:
        raise Refused(409, f"Nothing was changed: {_OTHERWISE[action]} (the job is {job.state}).")
    return job_json(job)
