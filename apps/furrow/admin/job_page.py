"""A job's page, its live part, and its actions. Each view translates and makes one call."""

import datetime as dt
import logging
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, TextField
from django.db.models.functions import Cast, Left, Length
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from furrow.actions import bulk
from furrow.actions.audit import audit
from furrow.actions.permissions import may_act, may_view
from furrow.admin import site
from furrow.admin.filters import LEVELS
from furrow.admin.job_body import JSON_COLUMNS, body, whole_text
from furrow.admin.listening import listening
from furrow.diagnosis import wording
from furrow.diagnosis.titles import with_titles
from furrow.errors import InputError
from furrow.kinds.secret import mask_text
from furrow.models import Job, LogLine, OutputChunk
from furrow.models.audit_entry import Origin
from furrow.statements import clock
from furrow.states import FINAL, State
from furrow.web.parameters import one_of, whole

#: Log lines that the page shows; the rest can be downloaded.
LINES = 500
#: The highest number that the attempts' column holds.
MOST_ATTEMPTS = 2**31 - 1


@require_GET
def show(request: HttpRequest, object_id: str) -> HttpResponse:
    """The page."""
    job = find(request, object_id)
    attempt = _chosen_attempt(request, job)
    wanted = _wanted_lines(request)
    lines, total = _newest_lines(job, attempt, wanted)
    context = {
        **site.context(request, Job),
        **body(request, job, may_act=may_act(request.user, job.kind)),
        **listening(request, job.kind),
        "title": f"Job {wording.plain(job.kind)}",
        "output": _output_address(job),
        "lines": lines,
        "lines_left_out": total - len(lines),
        "lines_total": total,
        "log_attempt": attempt,
        "log_attempts": range(max(1, job.attempt - 9), job.attempt + 1),
        "last_line": lines[-1].pk if lines else 0,
        "level": request.GET.get("level", ""),
        "find": request.GET.get("find", ""),
        "levels": list(LEVELS.items()),
        "follows": attempt == job.attempt or "attempt" not in request.GET,
    }
    return TemplateResponse(request, "admin/furrow/job/page.html", context)


def _output_address(job: Job) -> str:
    """Where the page reads the job's output; empty when there is none and none can come."""
    if job.state in FINAL and not OutputChunk.objects.filter(job=job.pk).exists():
        return ""
    return reverse("admin:furrow_job_output", args=[job.pk])


@require_GET
def live(request: HttpRequest, job_id: uuid.UUID) -> JsonResponse:
    """What changed since the page was drawn: the body if its version is another, and new log lines of the newest attempt."""
    job = find(request, job_id)
    now = body(request, job, may_act=may_act(request.user, job.kind))
    after = whole(request, "after", 0, most=2**63 - 1)
    after = after if whole(request, "attempt", -1, most=MOST_ATTEMPTS) == job.attempt else 0
    lines = list(
        LogLine.objects.filter(_wanted_lines(request), job=job.pk, attempt=job.attempt, pk__gt=after).order_by("pk")[:LINES]
    )
    changed = request.GET.get("version") != now["version"]
    return JsonResponse(
        {
            "version": now["version"],
            "final": job.state in FINAL,
            "running": job.state == State.RUNNING,
            "attempt": job.attempt,
            "body": render_to_string("admin/furrow/job/body.html", now, request) if changed else None,
            "lines": render_to_string("admin/furrow/job/lines.html", {"lines": lines}),
            "last": lines[-1].pk if lines else after,
        }
    )


@require_POST
def act(request: HttpRequest, job_id: uuid.UUID, action: str) -> HttpResponse:
    """Cancel it, run it again, …: one of :data:`furrow.actions.bulk.ACTIONS`."""
    job = find(request, job_id, act=True)
    options = {name: request.POST.get(name, "") for name in ("priority", "queue", "until")}
    try:
        options = bulk.check(action, _with_span(request, options))
        more = {"reason": f"cancelled by {request.user}"} if action == "cancel" else {}
        changed, locked = bulk.perform(action, [job.pk], options, **more)
    except InputError as error:
        messages.error(request, f"Nothing was changed: {error}.")
        return back(job)
    if changed:
        detail = ", ".join(f"{name} {value}" for name, value in options.items())
        audit(action, by=request.user, origin=Origin.ADMIN, target=f"job {job.kind}", job=job.pk, detail=detail)
        messages.success(
            request, _DONE[action] if job.state != State.RUNNING else "Cancel requested: the running job is asked to stop."
        )
    elif locked:
        messages.warning(request, "Nothing was changed: another transaction has locked the job's row. Try again when it ends.")
    else:
        messages.warning(request, f"{_NOT_DONE.get(action, 'Nothing was changed')} ({state_now(job)}).")
    gone = changed and action == "delete"
    return HttpResponseRedirect(reverse("admin:furrow_job_changelist")) if gone else back(job)


def _with_span(request: HttpRequest, options: dict[str, Any]) -> dict[str, Any]:
    """A snooze may be given as minutes from now."""
    minutes = request.POST.get("minutes", "")
    if minutes.isdecimal() and len(minutes) < 8 and 0 < int(minutes) <= 366 * 1440:
        options["until"] = clock.now() + dt.timedelta(minutes=int(minutes))
    return options


_DONE = {
    "cancel": "The job is cancelled.",
    "retry": "The job will run again.",
    "run now": "The job is due now.",
    "snooze": "The job is postponed.",
    "change priority": "The job's priority is changed.",
    "change queue": "The job is moved to another queue.",
    "delete": "The job is deleted.",
}
_NOT_DONE = {
    "cancel": "Not cancelled: the job had ended",
    "retry": "Not retried: the job has not ended",
    "run now": "Nothing was changed: the job is not scheduled for later",
    "snooze": "Nothing was changed: the job has begun, has ended, or expires before that",
    "delete": "Not deleted: the job has not ended (cancel it first), or its workflow goes on, which passes its result on",
}


def address(action: str) -> str:
    """The name of an action's address."""
    return f"furrow_job_{action.replace(' ', '_')}"


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


def find(request: HttpRequest, job_id: uuid.UUID | str, *, act: bool = False) -> Any:
    """The job, if this user may see it (and act on it); its large columns as the beginnings of their JSON texts.

    Raises:
        PermissionDenied, Http404: the latter also for what is no UUID.
    """
    if not may_view(request.user) or (act and not may_act(request.user)):
        raise PermissionDenied
    try:
        wanted = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(job_id)
    except ValueError:
        raise Http404(f"{job_id!r} is not the id of a job.") from None
    rows = with_titles(Job.objects.defer(*JSON_COLUMNS)).annotate(
        **{f"{name}_text": Left(Cast(name, TextField()), 4 * wording.SHOWN + 1) for name in JSON_COLUMNS},
        **{f"{name}_length": Length(Cast(name, TextField())) for name in JSON_COLUMNS},
    )
    job = rows.filter(pk=wanted).first()
    if job is None:
        raise Http404(f"There is no job {wanted}; jobs that ended long ago are deleted.")
    if act and not may_act(request.user, job.kind):
        raise PermissionDenied
    return job


def _chosen_attempt(request: HttpRequest, job: Job) -> int:
    return whole(request, "attempt", job.attempt, most=MOST_ATTEMPTS)


def _wanted_lines(request: HttpRequest) -> Q:
    """Those of a level at least, with a text in them."""
    level, text = one_of(request, "level", LEVELS), request.GET.get("find", "")
    wanted = Q(level__gte=int(level)) if level else Q()
    return wanted & (Q(message__icontains=text) | Q(logger__icontains=text)) if text else wanted


def _newest_lines(job: Job, attempt: int, wanted: Q) -> tuple[list[LogLine], int]:
    rows = LogLine.objects.filter(wanted, job=job.pk, attempt=attempt)
    lines = list(rows.order_by("-pk")[:LINES])
    return lines[::-1], len(lines) if len(lines) < LINES else rows.count()


def _log_text(job: Job, attempt: int) -> Iterator[str]:
    rows = LogLine.objects.filter(job=job.pk, attempt=attempt).order_by("pk")
    for line in rows.iterator():
        level, logger = logging.getLevelName(line.level), wording.plain(line.logger) or "-"
        yield f"{line.at.isoformat()} {level} {logger}: {wording.plain(line.message)}\n"


def state_now(job: Job) -> str:
    """As the database has it."""
    return Job.objects.filter(pk=job.pk).values_list("state", flat=True).first() or "deleted"


def back(job: Job) -> HttpResponse:
    """To the page of the job."""
    return HttpResponseRedirect(reverse("admin:furrow_job_change", args=[job.pk]))
