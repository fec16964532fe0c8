"""The list of jobs, and the URLs of a job's pages and actions."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from furrow.actions import bulk
from furrow.actions.permissions import may_act
from furrow.actions.selection import select
from furrow.admin import bulk_page, filters, job_page, step_acts, submit_page
from furrow.admin.job_body import run_seconds
from furrow.admin.job_link import job_link
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.diagnosis.titles import with_titles
from furrow.errors import InputError
from furrow.models import Job
from furrow.models.job import DEFAULT_PRIORITY
from furrow.statements import clock
from furrow.states import FINAL, State
from furrow.streaming.views import output
from furrow.web.parameters import note

#: An empty cell; left out on phones, where each cell takes a line.
_NONE = format_html('<span class="fw-none">{}</span>', wording.NOTHING)


@shows(Job)
class JobAdmin(ReadOnlyAdmin):
    """Jobs: a list that stays cheap on millions of rows. The pages of one job are in ``job_page`` and ``submit_page``."""

    empty_title = "No jobs yet"
    empty_text = "Submit one with the form, with submit() in code, or with manage.py furrow jobs submit."
    list_display = ("job", "condition", "place", "created", "wait", "run_time", "attempts", "short_error")
    list_display_links = None
    list_filter = (
        filters.StateFilter,
        filters.KindFilter,
        filters.QueueFilter,
        filters.TagFilter,
        filters.CreatedFilter,
        filters.SinceFilter,
        filters.UntilFilter,
        filters.SubmitterFilter,
        filters.WorkerFilter,
        filters.BatchFilter,
        filters.WorkflowFilter,
        filters.NodeFilter,
        filters.AgainFilter,
        filters.FingerprintFilter,
    )
    list_before_template = "admin/furrow/job/states.html"
    list_disable_select_all = True
    search_help_text = "Id, text, or account_id=7"

    # --- What may be done -------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Adding a job is submitting one."""
        return request.user.has_perm("furrow.submit_job")

    def has_act_permission(self, request: HttpRequest) -> bool:
        """May cancel and retry."""
        return may_act(request.user)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The button "add" leads to the kinds."""
        return HttpResponseRedirect(reverse("admin:furrow_job_submit"))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of one job."""
        return job_page.show(request, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Who cancelled and retried: a part of the job's own page."""
        return HttpResponseRedirect(reverse("admin:furrow_job_change", args=[object_id]))

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        own = [
            ("submit/", submit_page.kinds, "submit"),
            ("submit/<str:name>/", submit_page.form, "submit_kind"),
            ("submit/<str:name>/table/", submit_page.table, "submit_table"),
            ("submit/<str:name>/rows/<str:argument>/", submit_page.choices, "submit_rows"),
            ("bulk/", bulk_page.show, "bulk"),
            ("<uuid:job_id>/live/", job_page.live, "live"),
            ("<uuid:job_id>/run-from/", step_acts.run_from, "run_from"),
            ("<uuid:job_id>/signal/", step_acts.send, "signal"),
            ("<uuid:job_id>/log/", job_page.log, "log"),
            ("<uuid:job_id>/output/", output, "output"),
            ("<uuid:job_id>/json/<str:column>/", job_page.json_text, "json"),
        ]
        wrap = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        acts = [
            path(f"<uuid:job_id>/{name.replace(' ', '-')}/", wrap(job_page.act), {"action": name}, job_page.address(name))
            for name in bulk.ACTIONS
        ]
        return [path(route, wrap(view), name=f"furrow_job_{name}") for route, view, name in own] + acts + urls

    # --- What is read -----------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows for a list: without the large columns, with the beginning of the error."""
        rows = with_titles(super().get_queryset(request).defer("arguments", "result", "error"))
        found: QuerySet[Any] = rows.annotate(error_start=Left("error", 200))
        return found

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """An id, values of arguments, or a text: :mod:`furrow.actions.selection`."""
        try:
            return select({"q": search_term}, queryset), False
        except InputError as error:
            note(request, "q", "; ".join(error.fields.values()))
            return queryset.none(), False

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="job")
    def job(self, job: Job) -> SafeString:
        """Kind, title and id, leading to the page."""
        return job_link(job)

    @display(description="state")
    def condition(self, job: Job) -> SafeString:
        """The state, and how far a running job is."""
        below: list[Any] = []
        if job.state == State.RUNNING and job.progress is not None:
            below.append(wording.progress_bar(job.progress, job.progress_note))
        if job.state == State.RUNNING and job.cancel_requested_at:
            below.append("asked to stop")
        if job.state == State.PENDING and job.run_at > clock.now():
            below.append("retrying" if job.attempt else "scheduled")
        lines = format_html_join("", '<span class="fw-below">{}</span>', ((line,) for line in below))
        return format_html('<span class="fw-stack">{}{}</span>', wording.label(job.state), lines)

    @display(description="queue")
    def place(self, job: Job) -> SafeString:
        """Queue, and a priority that is not the usual one."""
        if job.priority == DEFAULT_PRIORITY:
            return format_html("{}", job.queue)
        return format_html('<span class="fw-stack">{}<span class="fw-below">priority {}</span></span>', job.queue, job.priority)

    @display(description="created")
    def created(self, job: Job) -> str:
        """When it was submitted, and when it is due if that is another time."""
        if abs(job.run_at - job.created_at) < dt.timedelta(seconds=1):
            return wording.moment(job.created_at)
        made, due = wording.moment(job.created_at), wording.moment(job.run_at)
        return format_html('<span class="fw-stack">{}<span class="fw-below">due {}</span></span>', made, due)

    @display(description="wait")
    def wait(self, job: Job) -> str:
        """From due to its last beginning, or until now."""
        if job.state in FINAL or job.state == State.RUNNING:
            return _span(job.wait.total_seconds() if job.wait is not None else None)
        waited = (clock.now() - job.run_at).total_seconds()
        return _span(waited if waited > 0 else None)

    @display(description="run time")
    def run_time(self, job: Job) -> str:
        """How long the last run took, or takes."""
        return _span(run_seconds(job, clock.now()))

    @display(description="attempts")
    def attempts(self, job: Job) -> str:
        """Counted attempts of those allowed."""
        return format_html('<span class="fw-nowrap">{} of {}</span>', f"{job.counted_attempts:,}", f"{job.max_attempts:,}")

    @display(description="error")
    def short_error(self, job: Any) -> str:
        """The beginning of the error, or what the handler says it is doing."""
        text = job.error_start or (job.progress_note if job.state == State.RUNNING else "")
        if not text:
            return _NONE
        tone = "fw-error" if job.error_start and job.state == State.FAILED else "fw-muted"
        return format_html(
            '<span class="fw-short {}" title="{}">{}</span>', tone, wording.plain(text), wording.shorten(text, 80)
        )

    # --- Actions ----------------------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, tuple[Callable[..., Any], str, str]]:
        """What may be done to the chosen jobs: each leads to the page that asks for a confirmation. Since Django 6.1
        there is ``action_location``: for the list, or for the page of one job, which has buttons of its own."""
        if getattr(action_location, "name", "CHANGE_LIST") != "CHANGE_LIST" or not self.has_act_permission(request):
            return {}
        return {name: (bulk_page.confirm, name, name.capitalize()) for name in bulk.ACTIONS}


def _span(seconds: float | None) -> SafeString:
    return _NONE if seconds is None else format_html('<span class="fw-nowrap">{}</span>', wording.span(seconds))
