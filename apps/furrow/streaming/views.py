"""``jobs/<id>/output``: a job's output and progress as server-sent events, for bearers of a token and who may view jobs."""

import uuid

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from furrow.actions.permissions import may_view
from furrow.models import Job
from furrow.streaming.reader import Reader
from furrow.streaming.tokens import refusal
from furrow.web import event_stream


@require_GET
def output(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse | StreamingHttpResponse:
    """The stream. 403 without a token for this job, 404 when there is no such job: browsers ask no more."""
    token = request.GET.get("token", "")
    if token:
        reason = refusal(token, job_id)
    else:
        reason = "" if may_view(getattr(request, "user", None)) else "a token is missing (?token=)"
    if reason:
        return HttpResponse(f"Not allowed: {reason}.\n", status=403, content_type="text/plain; charset=utf-8")
    try:
        reader = Reader(job_id, request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    except ValueError as error:
        return HttpResponse(f"after: {error}.\n", status=400, content_type="text/plain; charset=utf-8")
    try:
        return event_stream.stream(request, reader)
    except Job.DoesNotExist:
        return HttpResponse("There is no such job.\n", status=404, content_type="text/plain; charset=utf-8")
