"""What people do to the steps of a job on its page. Each view translates and makes one call."""

import json
import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from furrow.actions.audit import audit
from furrow.actions.steps import retry_from
from furrow.admin.job_page import back, find, state_now
from furrow.errors import InputError
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.plural import counted
from furrow.steps.sending import send_signal


@require_POST
def run_from(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Run it again from one of its steps."""
    job, step = find(request, job_id, act=True), request.POST.get("step", "")
    try:
        with atomic():
            if forgotten := retry_from(job.pk, step):
                target, detail = f"job {job.kind}", f"{step} (and {counted(forgotten - 1, 'later step')})"
                audit("retry from", by=request.user, origin=Origin.ADMIN, target=target, job=job.pk, detail=detail)
    except InputError as error:
        messages.error(request, f"Nothing was changed: {error}.")
        return back(job)
    if forgotten:
        messages.success(request, f"The job will run again from the step {step}.")
    else:
        messages.warning(request, f"Nothing was changed: cancel the job first ({state_now(job)}).")
    return back(job)


@require_POST
def send(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Send it a signal."""
    job, name, text = find(request, job_id, act=True), request.POST.get("name", ""), request.POST.get("payload", "").strip()
    try:
        payload = json.loads(text or "null")
    except (ValueError, RecursionError) as error:
        messages.error(request, f"Nothing was sent: {text[:80]!r} is no JSON ({error}).")
        return back(job)
    try:
        with atomic():
            delivered = send_signal(job.pk, name, payload, by=str(request.user))
            audit("signal", by=request.user, origin=Origin.ADMIN, target=f"job {job.kind}", job=job.pk, detail=name)
    except InputError as error:
        messages.error(request, f"Nothing was sent: {error}.")
        return back(job)
    messages.success(request, f"The job goes on with {name}." if delivered else f"{name} is kept until the job asks for it.")
    return back(job)
