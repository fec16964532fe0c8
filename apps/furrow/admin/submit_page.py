"""The pages that submit jobs: all kinds, and the form of one kind."""

import functools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from furrow.actions.permissions import may_submit, may_view
from furrow.admin import site
from furrow.admin.forms import row_field
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.file_field import FileField
from furrow.admin.forms.forms import FORM_ID, SubmitForm
from furrow.admin.forms.options import OPTION
from furrow.admin.forms.table import MAX_BYTES
from furrow.admin.listening import listening
from furrow.admin.table_page import TableForm, table_columns, takes_tables
from furrow.conf import conf
from furrow.diagnosis import wording
from furrow.diagnosis.kind_figures import KindFigures, by_kind
from furrow.errors import UnknownKind
from furrow.kinds import docstrings
from furrow.kinds.kind import Kind, all_kinds, get_kind
from furrow.kinds.secret import KEY
from furrow.models import Job
from furrow.plural import counted
from furrow.statements import clock
from furrow.web.bodies import takes_files
from furrow.web.parameters import SAID, WrongParameter

#: Recent runs that the list of kinds shows for each.
RUNS = 12
#: Seconds over which run times are looked at: a week.
LATELY = 7 * 86_400


@dataclass(frozen=True)
class Row:
    """A kind in the list."""

    name: str
    queue: str
    summary: str
    runs: list[Job]
    figures: KindFigures | None


@require_GET
def kinds(request: HttpRequest) -> HttpResponse:
    """All kinds that this user may submit, grouped by module."""
    _check_permission(request)
    groups: dict[str, list[Row]] = {}
    lately = {figures.kind: figures for figures in by_kind(clock.now(), LATELY)}
    for kind in all_kinds():
        if not may_submit(request.user, kind):
            continue
        runs = list(Job.objects.filter(kind=kind.name).order_by("-id").only("state", "created_at")[:RUNS])
        row = Row(kind.name, kind.queue, docstrings.first_line(kind.doc), runs, lately.get(kind.name))
        groups.setdefault(kind.name.rpartition(".")[0] or wording.NOTHING, []).append(row)
    context = {"title": "Submit a job", "groups": groups, "modules": conf().modules}
    return _page(request, "admin/furrow/submit/kinds.html", context)


def _bytes_of_files(request: HttpRequest, name: str) -> int:
    """What all files of this kind's form may have. Raises PermissionDenied."""
    _check_permission(request, name)
    try:
        fields = argument_fields(get_kind(name)).values()
    except UnknownKind:
        return 0
    return sum(field.max_bytes for field in fields if isinstance(field, FileField))


def _bytes_of_a_table(request: HttpRequest, name: str) -> int:
    """What a table may have. Raises PermissionDenied."""
    _check_permission(request, name)
    return MAX_BYTES


def _of_a_kind(view: Callable[[HttpRequest, Kind], HttpResponse]) -> Callable[[HttpRequest, str], HttpResponse]:
    """A page about the kind of this name, for those who may submit it."""

    @functools.wraps(view)
    def page(request: HttpRequest, name: str) -> HttpResponse:
        _check_permission(request, name)
        try:
            kind = get_kind(name)
        except UnknownKind as error:
            context = {"title": "No such kind", "name": name, "error": error}
            return _page(request, "admin/furrow/submit/unknown.html", context, 404)
        return view(request, kind)

    return page


@takes_files(_bytes_of_files)
@require_http_methods(["GET", "POST"])
@_of_a_kind
def form(request: HttpRequest, kind: Kind) -> HttpResponse:
    """The form of one kind; posted, it submits and leads to the job's page."""
    if request.method == "POST":
        filled = SubmitForm(kind, request.user, request.POST, request.FILES, earlier=_earlier(request, kind))
        if job := filled.submit():
            return _submitted(request, job, filled)
    else:
        earlier = _earlier(request, kind)
        filled = SubmitForm(kind, request.user, begin=_begin(request, earlier), earlier=earlier)
    doc, _arguments = docstrings.split(kind.doc)
    again = request.GET.get("again", "")
    context = {"title": f"Submit {kind.name}", "kind": _facts(kind), "doc": doc, "form": filled, "again": again}
    context |= listening(request, kind.name)
    return _page(request, "admin/furrow/submit/form.html", context, 200 if not filled.errors else 422)


@takes_files(_bytes_of_a_table)
@require_http_methods(["GET", "POST"])
@_of_a_kind
def table(request: HttpRequest, kind: Kind) -> HttpResponse:
    """Many jobs of one kind from a CSV table: posted, it is checked and shown; posted again, with its id, it is submitted."""
    posted = request.method == "POST"
    filled = TableForm(kind, request.user, request.POST if posted else None, request.FILES if posted else None)
    context: dict[str, Any] = {"title": f"Submit many: {kind.name}", "kind": _facts(kind), "form": filled}
    if FORM_ID in request.POST:
        if batch := filled.submit():
            return _batch_submitted(request, filled, batch)
        if not filled.problems()["count"] and not filled.errors:
            messages.warning(request, "This table has expired; nothing was submitted. Upload it again.")
            return HttpResponseRedirect(reverse("admin:furrow_job_submit_table", args=[kind.name]))
    elif posted and filled.look():
        return _page(request, "admin/furrow/submit/table.html", {**context, "preview": filled.preview()})
    context |= {"columns": list(table_columns(kind).items()), "problems": filled.problems()}
    return _page(request, "admin/furrow/submit/table.html", context, 422 if posted else 200)


@require_GET
def choices(request: HttpRequest, name: str, argument: str) -> HttpResponse:
    """The rows that a search finds for an argument that names one."""
    _check_permission(request, name)
    try:
        return row_field.rows(request, get_kind(name), argument)
    except UnknownKind as error:
        raise Http404(str(error)) from None


def _check_permission(request: HttpRequest, kind: str | None = None) -> None:
    if not may_submit(request.user, kind):
        raise PermissionDenied


def _facts(kind: Kind) -> dict[str, Any]:
    """What the page says of a kind. Not the kind itself: a template calls what can be called, and a kind runs its handler."""
    return {
        "name": kind.name,
        "takes_tables": takes_tables(kind),
        "attempts": kind.retry.max_attempts,
        "limit": kind.timeout or kind.soft_timeout,
        "expires": kind.expires.total_seconds() if kind.expires else None,
    }


def _begin(request: HttpRequest, again: Job | None) -> dict[str, Any]:
    """What the form begins with: an earlier job's arguments (``?again=<id>``), then the address's own (``?order_id=7``)."""
    begin: dict[str, Any] = {}
    if again is not None:
        begin = _not_secret(again.arguments) if isinstance(again.arguments, dict) else {}
        begin |= {OPTION + "queue": again.queue, OPTION + "priority": str(again.priority)}
    return {**begin, **{name: value for name, value in request.GET.items() if again is None or name != "again"}}


def _not_secret(arguments: dict[str, Any]) -> dict[str, Any]:
    """Secrets are not shown: they have to be given again."""
    return {name: value for name, value in arguments.items() if not (isinstance(value, dict) and KEY in value)}


def _earlier(request: HttpRequest, kind: Kind) -> Job | None:
    text = request.GET.get("again", "")
    if not text:
        return None
    try:
        wanted = uuid.UUID(text)
    except ValueError:
        raise WrongParameter("again", f"{text[:SAID]!r} is no job's id: it must be a UUID") from None
    # Its arguments may be seen only by those who may see jobs.
    if not may_view(request.user):
        return None
    job = Job.objects.filter(pk=wanted, kind=kind.name).first()
    if job is None:
        messages.warning(request, f"There is no job {wanted} of this kind; the form has the defaults.")
    return job


def _submitted(request: HttpRequest, job: Job, filled: SubmitForm) -> HttpResponse:
    if filled.was_there:
        messages.info(request, f"This job exists already: {job.kind} {job.pk}. No second one was submitted.")
    elif filled.was_submitted:
        messages.info(request, f"This form was submitted before: {job.kind} {job.pk}. No second job was submitted.")
    else:
        messages.success(request, f"Submitted: {job.kind} {job.pk}")
    if may_view(request.user):
        return HttpResponseRedirect(reverse("admin:furrow_job_change", args=[job.pk]))
    return HttpResponseRedirect(reverse("admin:furrow_job_submit"))


def _batch_submitted(request: HttpRequest, filled: TableForm, batch: uuid.UUID) -> HttpResponse:
    if filled.was_submitted:
        messages.info(request, f"This table was submitted before, as batch {batch}. Nothing was submitted again.")
    else:
        count = len(filled.table.rows) if filled.table else 0
        messages.success(request, f"Submitted {counted(count, 'job')} of {filled.kind.name}, as batch {batch}.")
    if may_view(request.user):
        return HttpResponseRedirect(f"{reverse('admin:furrow_job_changelist')}?batch={batch}")
    return HttpResponseRedirect(reverse("admin:furrow_job_submit"))


def _page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    context = {**site.context(request, Job), **context}
    return TemplateResponse(request, template, context, status=status)
