"""Backfills: a list, with those that can be started above it; a live page of each."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from furrow.actions.audit import audit
from furrow.actions.permissions import may_act_on_backfill, may_see, may_start_backfill, may_view
from furrow.admin import backfill_start, live
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.backfills import acting
from furrow.backfills.declared import all_backfills
from furrow.backfills.progress import Progress, progress
from furrow.diagnosis import wording
from furrow.errors import FurrowError
from furrow.kinds import docstrings
from furrow.kinds.secret import masked
from furrow.models import Backfill, Job
from furrow.models.audit_entry import Origin
from furrow.models.backfill import OPEN, BackfillState
from furrow.models.users import find_user
from furrow.plural import counted
from furrow.statements import clock
from furrow.states import State

#: Failed jobs that a page names.
NAMED = 5
_PART = "admin/furrow/backfill/body.html"
_DONE = {"pause": "is paused: no more jobs are added", "resume": "goes on", "cancel": "is cancelled, with its jobs"}


@shows(Backfill)
class BackfillAdmin(ReadOnlyAdmin):
    """Backfills, newest first."""

    empty_title = "No backfill was started yet"
    empty_text = "A backfill submits a job for each row of a table. Declare one with @backfill, or start one in code:"
    empty_example = """from furrow import backfill

backfill(Order.objects.filter(number=""), renumber, rate="100/s")"""
    list_display = ("backfill", "condition", "how_far", "made_jobs", "started")
    list_display_links = None
    list_before_template = "admin/furrow/backfill/above.html"
    search_texts = ("name", "kind")
    search_help_text = "Id, or text in the name or the kind"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, and what this user may start."""
        startable = [
            {"name": one.name, "kind": one.kind, "summary": docstrings.first_line(one.doc)}
            for one in all_backfills()
            if may_start_backfill(request.user, one.kind)
        ]
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "declared": startable})
        return answer

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of one."""
        return show(request, object_id)

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        wrap = self.admin_site.admin_view
        own = [
            path("start/<str:name>/", wrap(backfill_start.start), name="furrow_backfill_start"),
            path("<uuid:backfill_id>/live/", wrap(part), name="furrow_backfill_live"),
            path("<uuid:backfill_id>/<str:verb>/do/", wrap(do), name="furrow_backfill_do"),
        ]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="backfill")
    def backfill(self, row: Backfill) -> SafeString:
        """Name and kind, leading to the page."""
        link = reverse("admin:furrow_backfill_change", args=[row.pk])
        return format_html(
            '<a class="fw-job" href="{}"><b class="fw-short">{}</b><span class="fw-below">{}</span></a>',
            link,
            wording.plain(row.name),
            wording.plain(row.kind),
        )

    @display(description="state")
    def condition(self, row: Backfill) -> SafeString:
        below = format_html('<span class="fw-below fw-long">{}</span>', wording.shorten(row.held or row.reason, 100))
        return format_html('<span class="fw-stack">{}{}</span>', label(row), below)

    @display(description="progress")
    def how_far(self, row: Backfill) -> SafeString:
        far = _progress(row)
        rows = counted(row.rows, "row") if row.total is None else f"{row.rows:,} of {counted(row.total, 'row')}"
        bar = "" if far.share is None else wording.progress_bar(far.share)
        return format_html('<span class="fw-stack">{}<span class="fw-below">{}</span></span>', bar, rows)

    @display(description="jobs")
    def made_jobs(self, row: Backfill) -> str:
        far = _progress(row)
        parts = (
            [f"{row.made:,}"]
            + [f"{far.unended:,} not ended"] * bool(far.unended)
            + [f"{far.failed:,} failed"] * bool(far.failed)
        )
        return ", ".join(parts)

    @display(description="started")
    def started(self, row: Backfill) -> str:
        return wording.moment(row.created_at)


def label(row: Backfill) -> SafeString:
    """Its state."""
    if row.state == BackfillState.STOPPED:
        return format_html('<span class="fw-label fw-danger">{}</span>', "stopped")
    if row.state == BackfillState.ENDED:
        return format_html('<span class="fw-label fw-success">{}</span>', "ended")
    return wording.label("held" if row.held else row.state)


def _progress(row: Any) -> Progress:
    """Read once for a page."""
    if "progress" not in row.__dict__:
        row.__dict__["progress"] = progress(row, clock.now())
    found: Progress = row.__dict__["progress"]
    return found


def _find(request: HttpRequest, id: uuid.UUID | str) -> Backfill:
    if not may_see(request.user, "backfill"):
        raise PermissionDenied
    try:
        row = Backfill.objects.filter(pk=uuid.UUID(str(id))).first()
    except ValueError:
        row = None
    if row is None:
        raise Http404(f"There is no backfill {str(id)[:60]}.")
    return row


@require_GET
def show(request: HttpRequest, object_id: str) -> HttpResponse:
    """The page."""
    row = _find(request, object_id)
    address = "" if row.finished_at else reverse("admin:furrow_backfill_live", args=[row.pk])
    title = f"Backfill {wording.shorten(row.name, 60)}"
    around = "admin/furrow/backfill/page.html"
    return live.page(request, _PART, _body(request, row), title=title, address=address, model=Backfill, around=around)


@require_GET
def part(request: HttpRequest, backfill_id: uuid.UUID) -> HttpResponse:
    """Its part that changes."""
    row = _find(request, backfill_id)
    return live.answer(request, _PART, _body(request, row), last=row.finished_at is not None)


def _body(request: HttpRequest, row: Backfill) -> dict[str, Any]:
    far, jobs = progress(row, clock.now()), f"{reverse('admin:furrow_job_changelist')}?batch={row.pk}"
    counts = [
        ("not ended", far.unended, ""),
        *((str(state), number, f"{jobs}&state={state}") for state, number in _by_state(row, far)),
        *([("there already", row.existed, "")] if row.existed else []),
    ]
    sees_jobs = may_view(request.user)
    return {
        "row": row,
        "condition": label(row),
        "progress": far,
        "counts": counts,
        "sees_jobs": sees_jobs,
        "failed": Job.objects.filter(batch=row.pk, state=State.FAILED).order_by("-pk")[:NAMED] if sees_jobs else [],
        "verbs": _verbs(row, far) if may_act_on_backfill(request.user, row.kind) else [],
        "submitter": find_user(row.submitted_by_id),
        "parameters": _text(row.parameters),
        "arguments": _text(row.arguments),
        "query": _text(row.query),
        "stops": _stops(row.max_failures),
    }


def _by_state(row: Backfill, far: Progress) -> list[tuple[State, int]]:
    return [(State.SUCCEEDED, far.succeeded(row)), (State.FAILED, far.failed), (State.CANCELLED, far.cancelled)]


def _verbs(row: Backfill, far: Progress) -> list[str]:
    found = {BackfillState.RUNNING: ["pause"], BackfillState.PAUSED: ["resume"], BackfillState.STOPPED: ["resume"]}
    retry = ["retry"] if far.failed and row.state != BackfillState.CANCELLED else []
    return [*found.get(BackfillState(row.state), []), *retry, *(["cancel"] if row.state in OPEN else [])]


def _text(value: Any) -> str:
    return wording.plain(wording.indented(masked(value))) if value else ""


def _stops(most: float | None) -> str:
    if most is None:
        return "never by itself"
    return (
        f"when more than {most:.1%} of its jobs failed"
        if 0 < most < 1
        else f"when more than {counted(int(most), 'job')} failed"
    )


@require_POST
def do(request: HttpRequest, backfill_id: uuid.UUID, verb: str) -> HttpResponse:
    """Pause, resume, cancel, or retry what failed."""
    row = _find(request, backfill_id)
    if not may_act_on_backfill(request.user, row.kind):
        raise PermissionDenied
    if verb not in acting.ACTS:
        raise Http404(f"Nothing called {verb[:60]!r} can be done to a backfill.")
    try:
        changed = int(acting.ACTS[verb](row))
    except FurrowError as error:
        changed = 0
        messages.error(request, str(error))
    if changed:
        audit(verb, by=request.user, origin=Origin.ADMIN, target=f"backfill {row.name}", count=changed)
        done = _DONE[verb] if verb in _DONE else f"runs {counted(changed, 'job')} again"
        messages.success(request, f"{row.name} {done}.")
    else:
        messages.info(request, f"{row.name}: nothing changed.")
    return HttpResponseRedirect(reverse("admin:furrow_backfill_change", args=[row.pk]))
