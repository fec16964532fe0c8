"""Approvals: an inbox, and a page of each with its form, on which somebody decides."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast, Left, Length
from django.forms import Form as DjangoForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from furrow.actions.permissions import may_see, may_view
from furrow.admin import filters, site
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT
from furrow.admin.job_body import json_part
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.approvals import deciding
from furrow.approvals.form import Form, load
from furrow.diagnosis import wording
from furrow.errors import InputError
from furrow.kinds import docstrings
from furrow.kinds.secret import mask_text
from furrow.models import Approval, Edge, Job, Node, Workflow
from furrow.models.audit_entry import Origin
from furrow.models.users import find_user
from furrow.statements import clock
from furrow.states import State
from furrow.workflows.references import source

#: Nodes before it whose results the page shows.
BEFORE = 5
#: Stands before the names of the form's fields, which may be called as one of the page's own.
PREFIX = "answer"


@shows(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """Approvals, newest first. Who has the permission that one asks for sees it, and decides."""

    empty_title = "No approvals yet"
    empty_text = "A workflow asks a person, and goes on with the decision:"
    empty_example = """from furrow import workflow

with workflow("release 7") as w:
    go = w.approval("Release to production?", permission="shop.release")
    w.add(release, {"by": go.result["by"]}, after=[go])"""
    list_display = ("question", "condition", "asked", "until", "decision")
    list_display_links = None
    list_filter = (filters.ApprovalFilter,)
    list_before_template = "admin/furrow/approval/above.html"
    search_texts = ("title",)
    search_help_text = "Id, or text in the title"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return deciding.may_see_approvals(request.user)
        return may_see(request.user, "approval") or request.user.has_perm(obj.permission)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        rows = deciding.seen_by(request.user, DjangoModelAdmin.get_queryset(self, request))
        return rows.annotate(job_state=F("job__state"))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of one approval."""
        return _page(request, self._find(request, object_id))

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        decide = self.admin_site.admin_view(require_POST(self.decide))
        urls: list[URLPattern] = super().get_urls()
        return [path("<uuid:approval_id>/decide/", decide, name="furrow_approval_decide"), *urls]

    def decide(self, request: HttpRequest, approval_id: uuid.UUID) -> HttpResponse:
        """Approve or reject."""
        row = self._find(request, approval_id)
        if not deciding.may_decide(request.user, row):
            raise PermissionDenied
        verb = request.POST.get("decision", "")
        try:  # a rejection has no answers
            form = _DecisionForm(_form_of(row) if verb == "approve" else None, request.POST)
        except InputError:
            answer = _page(request, row)
            answer.status_code = 422
            return answer
        if verb not in ("approve", "reject"):
            messages.error(request, "Nothing was decided: approve or reject.")
        elif verb == "reject" or form.is_valid():
            answers = form.answers() if verb == "approve" else None
            note = request.POST.get("note", "").replace("\0", "")
            try:
                deciding.decide(
                    row, by=request.user, approved=verb == "approve", note=note, answers=answers, origin=Origin.ADMIN
                )
            except InputError as error:
                if "approval" not in error.fields:
                    form.show(error)
                    return _page(request, row, form)
                messages.warning(request, f"Nothing was decided: {error.fields['approval']}.")
            else:
                messages.success(request, f"{row.title}: {'approved' if verb == 'approve' else 'rejected'}.")
        else:
            return _page(request, row, form)
        return HttpResponseRedirect(reverse("admin:furrow_approval_change", args=[row.pk]))

    def _find(self, request: HttpRequest, id: uuid.UUID | str) -> Any:
        try:
            row = Approval.objects.annotate(job_state=F("job__state")).filter(pk=uuid.UUID(str(id))).first()
        except ValueError:
            row = None
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404(f"There is no approval {str(id)[:60]}; they are deleted with their jobs.")
        return row

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="approval")
    def question(self, row: Approval) -> SafeString:
        """The title, leading to the page."""
        link = reverse("admin:furrow_approval_change", args=[row.pk])
        below = f"for {row.permission}" + (", by a second person" if row.second_person else "")
        return format_html(
            '<a class="fw-job" href="{}"><b class="fw-short">{}</b><span class="fw-below">{}</span></a>',
            link,
            wording.plain(row.title),
            below,
        )

    @display(description="state")
    def condition(self, row: Any) -> SafeString:
        return wording.label(deciding.condition(row, row.job_state, clock.now()))

    @display(description="asked")
    def asked(self, row: Approval) -> str:
        return wording.moment(row.created_at)

    @display(description="until")
    def until(self, row: Approval) -> str:
        return wording.moment(row.timeout_at) if row.timeout_at else wording.NOTHING

    @display(description="decided by")
    def decision(self, row: Approval) -> SafeString | str:
        if row.decided_at is None:
            return wording.NOTHING
        below = format_html('<span class="fw-below">{}</span>', wording.moment(row.decided_at))
        return format_html('<span class="fw-stack">{}{}</span>', wording.shorten(row.decider, 40), below)


class _DecisionForm(DjangoForm):
    """The fields of the form, and none where there is no form."""

    def __init__(self, form: Form | None, data: Any = None) -> None:
        super().__init__(data, prefix=PREFIX)
        if form is not None:
            self.fields.update(argument_fields(form))

    def answers(self) -> dict[str, Any] | None:
        """What was filled in."""
        given = {name: value for name, value in self.cleaned_data.items() if value is not OMIT}
        return given or ({} if self.fields else None)

    def show(self, error: InputError) -> None:
        """Why it was refused, at the fields."""
        for name, text in error.fields.items():
            known = name in self.fields
            self.add_error(name if known else None, ValidationError(text if known else f"{name}: {text}"))


def _form_of(row: Approval) -> Form | None:
    return load(row.form) if row.form and row.decided_at is None else None


def _page(request: HttpRequest, row: Any, filled: _DecisionForm | None = None) -> HttpResponse:
    now, sees_jobs = clock.now(), may_view(request.user)
    problem, form = "", None
    try:
        form = _form_of(row)
    except InputError as error:
        problem = error.fields["form"]
    filled = filled or _DecisionForm(form)
    condition = deciding.condition(row, row.job_state, now)
    is_open = condition == "open"
    doc = docstrings.split(form.doc)[0] if form else ""
    context = {
        **site.context(request, Approval),
        "title": wording.shorten(row.title, 60),
        "row": row,
        "condition": condition,
        "is_open": is_open,
        "why_not": deciding.why_not(request.user, row) if is_open else "",
        "problem": problem if is_open else "",
        "form": filled,
        "doc": doc,
        "note": request.POST.get("note", ""),
        "submitter": find_user(row.asked_by_id),
        "workflow": Workflow.objects.filter(pk=row.workflow).first() if may_see(request.user, "workflow") else None,
        "node": Node.objects.filter(pk=row.node).first() if row.node else None,
        "sees_jobs": sees_jobs,
        "before": _before(row) if sees_jobs else [],
        "answers": wording.plain(mask_text(wording.indented(row.answers))) if row.answers is not None else "",
    }
    return TemplateResponse(request, "admin/furrow/approval/page.html", context, status=422 if filled.errors else 200)


def _before(row: Approval) -> list[dict[str, Any]]:
    """The results of the nodes that it waited for, of those that are one job."""
    if row.node is None:
        return []
    parents = list(Edge.objects.filter(child=row.node, met=True).values_list("parent", flat=True))
    names = dict(
        Node.objects.filter(pk__in=parents, sort=Node.Sort.JOB).order_by("position").values_list("pk", "name")[:BEFORE]
    )
    of = {source(id): name for id, name in names.items()}
    rows = Job.objects.defer("arguments", "meta", "result").annotate(
        result_text=Left(Cast("result", TextField()), 4 * wording.SHOWN + 1), result_length=Length(Cast("result", TextField()))
    )
    jobs = rows.filter(node__in=of, state=State.SUCCEEDED, result__isnull=False).order_by("pk")
    return [{"name": of[job.node], "job": job, "part": json_part(job, "result")} for job in jobs if job.node is not None]
