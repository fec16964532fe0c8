"""Steps of jobs: send a signal, run a job again from a step. What steps a job has is part of the job."""

import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Router

from furrow.actions.audit import audit
from furrow.actions.steps import retry_from
from furrow.api.auth import caller, needs
from furrow.api.idempotency import Key, once
from furrow.api.jobs import find
from furrow.api.shapes import FromStep, JobShape, Sent, SentSignal
from furrow.diagnosis.as_json import job_json
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.steps.sending import send_signal
from furrow.web.problems import Refused

router = Router(auth=needs(Scope.ACT), tags=["actions"])


@router.post("/jobs/{job_id}/signals", response={201: SentSignal}, operation_id="send_signal")
def send(request: HttpRequest, job_id: uuid.UUID, signal: Sent, idempotency_key: Key = None) -> Any:
    """Send a job a signal: it goes on if it waits for it (``delivered``), else the signal is kept until it asks."""
    who = caller(request)
    job = find(who, job_id)
    who.must_act(job.kind)

    def do() -> tuple[int, Any]:
        delivered = send_signal(job_id, signal.name, signal.payload, by=who.user.get_username())
        target = f"job {job.kind}"
        audit("signal", by=who.user, origin=Origin.API, target=target, job=job_id, detail=signal.name, token=who.named)
        return 201, {"delivered": delivered}

    return once(request, who.user, idempotency_key, do)


@router.post("/jobs/{job_id}/retry-from", response=JobShape, operation_id="retry_job_from")
def run_from(request: HttpRequest, job_id: uuid.UUID, given: FromStep) -> Any:
    """Run a job again from one of its steps: that and those behind it are forgotten."""
    who = caller(request)
    job = find(who, job_id)
    who.must_act(job.kind)
    with atomic():
        if not retry_from(job_id, given.step):
            raise Refused(409, f"Nothing was changed: cancel the job first (it is {job.state}).")
        target = f"job {job.kind}"
        audit("retry from", by=who.user, origin=Origin.API, target=target, job=job_id, detail=given.step, token=who.named)
    return job_json(find(who, job_id))
