"""The list of jobs, and the addresses of everything that can be seen of or done to one."""

import datetime as dt
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from apps.jobs import actions, wording
from apps.jobs.admin import filters, job_page, submit_page
from apps.jobs.admin.job_body import run_seconds
from apps.jobs.admin.readonly import ReadOnlyAdmin
from apps.jobs.models import Job
from apps.jobs.models.job import DEFAULT_PRIORITY
from apps.jobs.states import FINAL, State

#: An empty cell; left out on phones, where each cell takes a line.
_NONE = format_html('<span class="fw-none">{}</span>', wording.NOTHING)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Jobs: a list that stays cheap on millions of rows. The pages of one job are in ``job_page`` and ``submit_page``."""

    list_display = ("job", "condition", "place", "created", "wait", "run_time", "attempts", "short_error")
    list_display_links = None
    list_filter = (
        filters.StateFilter,
        filters.KindFilter,
        filters.QueueFilter,
        filters.CreatedFilter,
        filters.BatchFilter,
        filters.SubmitterFilter,
    )
    list_before_template = "admin/jobs/job/states.html"
    list_disable_select_all = True
    search_texts = ("kind", "error", "arguments_text")
    search_ids = ("id", "batch")
    search_help_text = "Id, or text in kind, error, arguments"
    actions = ("cancel_selected", "retry_selected")

    # --- What may be done -------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Adding a job is submitting one."""
        return request.user.has_perm("jobs.submit_job")

    def has_act_permission(self, request: HttpRequest) -> bool:
        """May cancel and retry."""
        return job_page.may_act(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The button "add" leads to the kinds."""
        return HttpResponseRedirect(reverse("admin:jobs_job_submit"))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of one job."""
        return job_page.show(request, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Who cancelled and retried: a part of the job's own page."""
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[object_id]))

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        own = [
            ("submit/", submit_page.kinds, "submit"),
            ("submit/<str:name>/", submit_page.form, "submit_kind"),
            ("submit/<str:name>/table/", submit_page.table, "submit_table"),
            ("submit/<str:name>/rows/<str:argument>/", submit_page.choices, "submit_rows"),
            ("<uuid:job_id>/cancel/", job_page.cancel, "cancel"),
            ("<uuid:job_id>/retry/", job_page.retry, "retry"),
            ("<uuid:job_id>/live/", job_page.live, "live"),
            ("<uuid:job_id>/log/", job_page.log, "log"),
            ("<uuid:job_id>/json/<str:column>/", job_page.json_text, "json"),
        ]
        wrap = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [path(route, wrap(view), name=f"jobs_job_{name}") for route, view, name in own] + urls

    # --- What is read -----------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows for a list: without the large columns, with the beginning of the error."""
        rows = super().get_queryset(request).defer("arguments", "result", "error")
        found: QuerySet[Any] = rows.annotate(error_start=Left("error", 200))
        return found

    def prepare_search(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Arguments are searched as the JSON text that they are."""
        found: QuerySet[Any] = queryset.annotate(arguments_text=Cast("arguments", TextField()))
        return found

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="job")
    def job(self, job: Job) -> SafeString:
        """Kind and id, leading to the page."""
        link = reverse("admin:jobs_job_change", args=[job.pk])
        return format_html('<a class="fw-job" href="{}"><b>{}</b><code>{}</code></a>', link, job.kind, str(job.pk))

    @display(description="state")
    def condition(self, job: Job) -> SafeString:
        """The state, and how far a running job is."""
        below: list[Any] = []
        if job.state == State.RUNNING and job.progress is not None:
            below.append(wording.progress_bar(job.progress, job.progress_note))
        if job.state == State.RUNNING and job.cancel_requested_at:
            below.append("asked to stop")
        if job.state == State.PENDING and job.run_at > timezone.now():
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
        waited = (timezone.now() - job.run_at).total_seconds()
        return _span(waited if waited > 0 else None)

    @display(description="run time")
    def run_time(self, job: Job) -> str:
        """How long the last run took, or takes."""
        return _span(run_seconds(job, timezone.now()))

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
        return format_html('<span class="fw-short {}" title="{}">{}</span>', tone, text, wording.shorten(text, 80))

    # --- Actions ----------------------------------------------------------------------------------------------------

    @admin.action(description="Cancel", permissions=["act"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Cancel the chosen jobs, each by itself."""
        ids = list(queryset.values_list("pk", flat=True))
        done = [pk for pk in ids if actions.cancel(pk, reason=f"cancelled by {request.user}")]
        _tell(request, len(done), len(ids), "cancelled (those that ran were asked to stop)", "had ended")

    @admin.action(description="Retry", permissions=["act"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Run the chosen jobs again."""
        ids = list(queryset.values_list("pk", flat=True))
        done = [pk for pk in ids if actions.retry(pk)]
        _tell(request, len(done), len(ids), "will run again", "had not ended")


def _span(seconds: float | None) -> SafeString:
    return _NONE if seconds is None else format_html('<span class="fw-nowrap">{}</span>', wording.span(seconds))


def _tell(request: HttpRequest, done: int, asked: int, success: str, otherwise: str) -> None:
    if done:
        messages.success(request, f"{done:,} {'job' if done == 1 else 'jobs'} {success}.")
    if left := asked - done:
        messages.warning(
            request, f"{left:,} {'job' if left == 1 else 'jobs'} {otherwise} and {'was' if left == 1 else 'were'} left alone."
        )
