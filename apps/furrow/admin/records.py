"""Attempts and log lines: read-only tables."""

import logging
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from furrow.actions.permissions import may_view
from furrow.admin import filters
from furrow.admin.job_link import job_link
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.diagnosis.titles import with_titles
from furrow.models import Attempt, Job, LogLine, Worker


class _OfJob(ReadOnlyAdmin):
    """Rows that belong to a job; its kind is fetched by keys, apart."""

    search_ids = ("job",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        jobs: QuerySet[Any] = Job.objects.only("kind")
        return rows.prefetch_related(Prefetch("job", with_titles(jobs) if may_view(request.user) else jobs))

    @display(description="job")
    def of_job(self, row: Any) -> str:
        """Kind, title and id, leading to the job; the id alone when it was deleted."""
        job = getattr(row, "job", None)
        if job is None:
            return format_html("<code>{}</code> (deleted)", row.job_id)
        return job_link(job)


@shows(Attempt)
class AttemptAdmin(_OfJob):
    """Attempts."""

    empty_title = "No run has ended yet"
    empty_text = "Each run of a job leaves a row here: how it ended, where, and how long it took."
    list_display = ("of_job", "number", "ended", "started", "took", "pid", "short_error")
    list_display_links = ("number",)
    list_filter = (filters.OutcomeFilter, filters.JobFilter)
    search_texts = ("error_type", "error")
    search_help_text = "Job id, or text in the error"
    fields = (
        *("of_job", "number", "ended", "on_worker", "pid", "started_exact", "finished_exact", "took"),
        *("sort", "whole_error", "trace"),
    )
    readonly_fields = (
        "of_job",
        "sort",
        "whole_error",
        "ended",
        "on_worker",
        "started_exact",
        "finished_exact",
        "took",
        "trace",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("traceback")

    @display(description="outcome")
    def ended(self, attempt: Attempt) -> SafeString:
        return wording.label(attempt.outcome)

    @display(description="started")
    def started(self, attempt: Attempt) -> str:
        return wording.moment(attempt.started_at)

    @display(description="started")
    def started_exact(self, attempt: Attempt) -> str:
        return wording.exact(attempt.started_at)

    @display(description="finished")
    def finished_exact(self, attempt: Attempt) -> str:
        return wording.exact(attempt.finished_at)

    @display(description="run time")
    def took(self, attempt: Attempt) -> str:
        return wording.span(attempt.seconds)

    @display(description="error")
    def short_error(self, attempt: Attempt) -> str:
        if not attempt.error:
            return wording.NOTHING
        return format_html(
            '<span class="fw-short" title="{}">{}</span>', wording.plain(attempt.error[:500]), wording.shorten(attempt.error)
        )

    @display(description="worker")
    def on_worker(self, attempt: Attempt) -> str:
        worker = Worker.objects.filter(pk=attempt.worker).first() if attempt.worker else None
        return worker.node if worker else str(attempt.worker or wording.NOTHING)

    @display(description="error's type")
    def sort(self, attempt: Attempt) -> str:
        return wording.plain(attempt.error_type) or wording.NOTHING

    @display(description="error")
    def whole_error(self, attempt: Attempt) -> str:
        return wording.plain(attempt.error[: wording.SHOWN]) or wording.NOTHING

    @display(description="traceback")
    def trace(self, attempt: Attempt) -> str:
        return (
            format_html('<pre class="fw-pre">{}</pre>', wording.traceback(attempt.traceback))
            if attempt.traceback
            else wording.NOTHING
        )


@shows(LogLine)
class LogLineAdmin(_OfJob):
    """Log lines."""

    empty_title = "Nothing was logged yet"
    empty_text = "Lines that a job writes with logging or current_job.log() are kept with its attempt."
    list_display = ("when", "level_label", "of_job", "attempt", "source", "short_message")
    list_display_links = None
    list_filter = (filters.LevelFilter, filters.JobFilter)
    search_texts = ("message", "logger")
    search_help_text = "Job id, or text in the line"
    fields = ("of_job", "attempt", "at", "level_label", "source", "text")
    readonly_fields = ("of_job", "level_label", "source", "text")

    @display(description="logger")
    def source(self, line: LogLine) -> str:
        return wording.shorten(line.logger, 60) or wording.NOTHING

    @display(description="time")
    def when(self, line: LogLine) -> str:
        return wording.moment(line.at)

    @display(description="level")
    def level_label(self, line: LogLine) -> SafeString:
        name = logging.getLevelName(line.level).lower()
        return format_html('<span class="fw-level fw-level-{}">{}</span>', line.level // 10 * 10, name)

    @display(description="message")
    def short_message(self, line: LogLine) -> SafeString:
        text = wording.shorten(line.message, 160)
        return format_html('<span class="fw-short" title="{}">{}</span>', wording.plain(line.message[:500]), text)

    @display(description="message")
    def text(self, line: LogLine) -> SafeString:
        return format_html('<pre class="fw-pre">{}</pre>', wording.plain(line.message))
