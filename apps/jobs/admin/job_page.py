"""The page of one job, its live part, and the two things that may be done to it. Each view translates and makes one call."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import TextField
from django.db.models.functions import Cast, Left, Length
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.jobs import actions, wording
from apps.jobs.admin.job_body import JSON_COLUMNS, body, whole_text
from apps.jobs.models import Job, LogLine
from apps.jobs.secret import mask_text
from apps.jobs.states import FINAL, State

#: Log lines that the page shows; the rest can be downloaded.
LINES = 500


@require_GET
def show(request: HttpRequest, object_id: str) -> HttpResponse:
    """The page."""
    job = find(request, object_id)
    attempt = _chosen_attempt(request, job)
    lines, total = _newest_lines(job, attempt)
    context = {
        **admin.site.each_context(request),
        **body(request, job, may_act=may_act(request)),
        "title": f"Job {job.kind}",
        "model_admin": admin.site.get_model_admin(Job),
        "lines": lines,
        "lines_left_out": total - len(lines),
        "lines_total": total,
        "log_attempt": attempt,
        "log_attempts": range(max(1, job.attempt - 9), job.attempt + 1),
        "last_line": lines[-1].pk if lines else 0,
        "follows": attempt == job.attempt or "attempt" not in request.GET,
    }
    return TemplateResponse(request, "admin/jobs/job/page.html", context)


@require_GET
def live(request: HttpRequest, job_id: uuid.UUID) -> JsonResponse:
    """What changed since the page was drawn: the body if its version is another, and new log lines of the newest attempt."""
    job = find(request, job_id)
    now = body(request, job, may_act=may_act(request))
    same_attempt = request.GET.get("attempt") == str(job.attempt)
    after = int(text) if same_attempt and (text := request.GET.get("after", "")).isdecimal() and len(text) < 19 else 0
    lines = list(LogLine.objects.filter(job=job.pk, attempt=job.attempt, pk__gt=after).order_by("pk")[:LINES])
    changed = request.GET.get("version") != now["version"]
    return JsonResponse(
        {
            "version": now["version"],
            "final": job.state in FINAL,
            "attempt": job.attempt,
            "body": render_to_string("admin/jobs/job/body.html", now, request) if changed else None,
            "lines": render_to_string("admin/jobs/job/lines.html", {"lines": lines}),
            "last": lines[-1].pk if lines else after,
        }
    )


@require_POST
def cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Cancel it."""
    job = find(request, job_id, act=True)
    if actions.cancel(job.pk, reason=f"cancelled by {request.user}"):
        running = job.state == State.RUNNING
        messages.success(request, "The job was asked to stop." if running else "The job is cancelled.")
        _note(request, job, "Cancelled.")
    else:
        messages.warning(request, f"Nothing was cancelled: the job had ended ({_state_now(job)}).")
    return _back(job)


@require_POST
def retry(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Run it again."""
    job = find(request, job_id, act=True)
    if actions.retry(job.pk):
        messages.success(request, "The job will run again.")
        _note(request, job, "Retried.")
    else:
        messages.warning(request, f"Not retried: the job has not ended ({_state_now(job)}).")
    return _back(job)


@require_GET
def json_text(request: HttpRequest, job_id: uuid.UUID, column: str) -> HttpResponse:
    """The whole JSON text of the arguments or the result, as a file."""
    if column not in JSON_COLUMNS:
        raise Http404
    job = find(request, job_id)
    headers = {"Content-Disposition": f'attachment; filename="{job.pk}-{column}.json"'}
    return HttpResponse(mask_text(whole_text(job, column)), content_type="application/json", headers=headers)


@require_GET
def log(request: HttpRequest, job_id: uuid.UUID) -> StreamingHttpResponse:
    """All log lines of an attempt, as a text file."""
    job = find(request, job_id)
    attempt = _chosen_attempt(request, job)
    headers = {"Content-Disposition": f'attachment; filename="{job.pk}-attempt-{attempt}.log"'}
    return StreamingHttpResponse(_log_text(job, attempt), content_type="text/plain; charset=utf-8", headers=headers)


# --- Steps ------------------------------------------------------------------------------------------------------------


def may_act(request: HttpRequest) -> bool:
    """May cancel and retry."""
    return request.user.has_perms(["jobs.view_job", "jobs.act_on_job"])


def find(request: HttpRequest, job_id: uuid.UUID | str, *, act: bool = False) -> Any:
    """The job, if this user may see it (and act on it); its large columns as the beginnings of their JSON texts.

    Raises:
        PermissionDenied, Http404: the latter also for what is no UUID.
    """
    if not request.user.has_perm("jobs.view_job") or (act and not may_act(request)):
        raise PermissionDenied
    try:
        wanted = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(job_id)
    except ValueError:
        raise Http404(f"{job_id!r} is not the id of a job.") from None
    rows = Job.objects.defer("arguments", "result").annotate(
        **{f"{name}_text": Left(Cast(name, TextField()), 4 * wording.SHOWN + 1) for name in JSON_COLUMNS},
        **{f"{name}_length": Length(Cast(name, TextField())) for name in JSON_COLUMNS},
    )
    job = rows.filter(pk=wanted).first()
    if job is None:
        raise Http404(f"There is no job {wanted}; jobs that ended long ago are deleted.")
    return job


def _chosen_attempt(request: HttpRequest, job: Job) -> int:
    text = request.GET.get("attempt", "")
    return int(text) if text.isdecimal() and len(text) < 8 else job.attempt


def _newest_lines(job: Job, attempt: int) -> tuple[list[LogLine], int]:
    rows = LogLine.objects.filter(job=job.pk, attempt=attempt)
    lines = list(rows.order_by("-pk")[:LINES])
    return lines[::-1], len(lines) if len(lines) < LINES else rows.count()


def _log_text(job: Job, attempt: int) -> Iterator[str]:
    rows = LogLine.objects.filter(job=job.pk, attempt=attempt).order_by("pk")
    for line in rows.iterator():
        yield f"{line.at.isoformat()} {logging.getLevelName(line.level)} {line.logger or '-'}: {line.message}\n"


def _state_now(job: Job) -> str:
    return Job.objects.filter(pk=job.pk).values_list("state", flat=True).first() or "deleted"


def _note(request: HttpRequest, job: Job, text: str) -> None:
    """Who did it, for the admin's own history."""
    LogEntry.objects.log_actions(request.user.pk or 0, [job], CHANGE, text, single_object=True)


def _back(job: Job) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.pk]))
