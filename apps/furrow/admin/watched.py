"""Celery tasks that are watched, and their calls: docs/adoption.md."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.models import WatchedCall, WatchedTask
from furrow.statements import clock
from furrow.watch import report

_EMPTY = 'With FURROW["ADOPT"] = "watch" publishers and workers record what they see of the project\'s Celery tasks.'
_PROBLEMS = {"lost": "published, never began", "twice": "began twice", "stuck": "began, no end seen"}


class _List(ReadOnlyAdmin):
    """A list without pages of single rows."""

    empty_title, empty_text = "No Celery task was seen yet", _EMPTY
    list_display_links = None
    search_ids = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The list; there is no page of one."""
        return obj is None and super().has_view_permission(request, obj)


@shows(WatchedTask)
class WatchedTaskAdmin(_List):
    """One row a task."""

    list_display = ("task", "saved_from", "differs", "calls", "runs", "failures", "waits", "takes", "last")
    ordering = ("name",)
    search_fields = ("name",)
    search_texts = ("name", "last_error")
    search_help_text = "Name, or text of the last error"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, whose rows know what came of their calls."""
        found = super().get_changelist_instance(request)
        now = clock.now()
        saved, missed = report.saved(now), {task.name for task in report.missed(now)}
        for row in found.result_list:
            row.saved, row.missed = saved.get(row.name, report.Saved()), row.name in missed
        return found

    @display(description="task")
    def task(self, task: WatchedTask) -> str:
        return task.name

    @display(description="published")
    def calls(self, task: WatchedTask) -> str:
        return f"{task.published:,}"

    @display(description="began")
    def runs(self, task: WatchedTask) -> str:
        return f"{task.began:,}"

    @display(description="failed, retried")
    def failures(self, task: WatchedTask) -> str:
        said = f"{task.failed:,}, {task.retried:,}"
        return format_html('<span title="{}">{}</span>', task.last_error, said) if task.last_error else said

    @display(description="wait")
    def waits(self, task: WatchedTask) -> str:
        return _mean(task.wait_seconds, task.waited, task.longest_wait)

    @display(description="run")
    def takes(self, task: WatchedTask) -> str:
        return _mean(task.run_seconds, task.succeeded + task.failed + task.retried, task.longest_run)

    @display(description="last began")
    def last(self, task: WatchedTask) -> str:
        return wording.moment(task.last_began) if task.last_began else wording.NOTHING

    @display(description="jobs would save")
    def saved_from(self, task: Any) -> str:
        link = reverse("admin:furrow_watchedcall_changelist")
        found = [(link, name, task.name, f"{count:,} {name}") for name, count in task.saved._asdict().items() if count]
        said = [format_html('<a href="{}?problem={}&amp;q={}">{}</a>', *one) for one in found]
        if task.missed:
            said.append(SafeString('<strong title="ran daily, and has not since">missed</strong>'))
        return _one(format_html_join(", ", "{}", ((one,) for one in said)))

    @display(description="differs")
    def differs(self, task: WatchedTask) -> str:
        uses = ((report.USES.get(use, use), use) for use in task.uses.split())
        return _one(format_html_join(", ", '<span title="{}">{}</span>', uses))


class ProblemFilter(SimpleListFilter):
    """Calls that jobs would have been saved from."""

    title, parameter_name = "problem", "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The problems."""
        return list(_PROBLEMS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[WatchedCall]) -> QuerySet[WatchedCall]:
        """The calls that have it."""
        now = clock.now()
        known = {"lost": report.lost(now), "twice": report.twice(), "stuck": report.stuck(now)}
        return queryset.filter(known[self.value() or ""]) if self.value() in known else queryset


@shows(WatchedCall)
class WatchedCallAdmin(_List):
    """One row a call."""

    list_display = ("key", "task", "published", "began", "runs", "ended", "outcome", "worker")
    list_filter = (ProblemFilter,)
    ordering = ("-id",)
    search_fields = ("key", "task")
    search_texts = ("key", "task")
    search_help_text = "Id or task"

    @display(description="published")
    def published(self, call: WatchedCall) -> str:
        return wording.moment(call.published_at) if call.published_at else wording.NOTHING

    @display(description="began")
    def began(self, call: WatchedCall) -> str:
        return wording.moment(call.began_at) if call.began_at else wording.NOTHING

    @display(description="ended")
    def ended(self, call: WatchedCall) -> str:
        return wording.moment(call.ended_at) if call.ended_at else wording.NOTHING


def _one(parts: SafeString) -> str:
    """In one element: on a phone each of a cell's is a column."""
    return format_html("<span>{}</span>", parts) if parts else wording.NOTHING


def _mean(total: float, count: int, longest: float) -> str:
    if not count:
        return wording.NOTHING
    return format_html('<span title="on average; {} at most">{}</span>', wording.span(longest), wording.span(total / count))
