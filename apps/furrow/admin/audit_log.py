"""The audit log: a read-only table."""

from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html

from furrow.admin import filters
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.models import AuditEntry


@shows(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, newest first."""

    empty_title = "No actions yet"
    empty_text = "Every action of a person on jobs, queues, workers, locks and dead messages is recorded here."
    list_display = ("when", "person", "what", "to_what", "how_many", "origin", "more")
    list_display_links = None
    list_filter = (filters.WhoFilter, filters.ActionFilter, filters.OriginFilter, filters.AtFilter, filters.JobFilter)
    search_texts = ("who", "token", "action", "target", "detail")
    search_ids = ("job",)
    search_help_text = "Job id, or text"
    fields = ("exact_time", "person", "origin", "action", "to_what", "how_many", "selection", "detail")
    readonly_fields = ("exact_time", "person", "to_what", "how_many")

    @display(description="when")
    def when(self, entry: AuditEntry) -> str:
        return wording.moment(entry.at)

    @display(description="when")
    def exact_time(self, entry: AuditEntry) -> str:
        return wording.exact(entry.at)

    @display(description="who")
    def person(self, entry: AuditEntry) -> str:
        who = wording.plain(entry.who) or "a program"
        return f"{who}, by the token {wording.plain(entry.token)}" if entry.token else who

    @display(description="action")
    def what(self, entry: AuditEntry) -> str:
        return format_html("<b>{}</b>", entry.action)

    @display(description="to what")
    def to_what(self, entry: AuditEntry) -> str:
        """Leads to the job, or to the jobs that match the filter."""
        text = wording.shorten(entry.target, 100) or wording.NOTHING
        if entry.job:
            text = format_html(
                '<a class="fw-linked" href="{}">{}</a>', reverse("admin:furrow_job_change", args=[entry.job]), text
            )
        criteria = entry.selection.get("filter")
        if not criteria:
            return text
        link = reverse("admin:furrow_job_changelist") + "?" + urlencode(criteria)
        said = wording.shorten(", ".join(f"{name} {value}" for name, value in criteria.items()), 100)
        return format_html('<span class="fw-stack">{}<a class="fw-below fw-linked" href="{}">{}</a></span>', text, link, said)

    @display(description="changed")
    def how_many(self, entry: AuditEntry) -> str:
        return f"{entry.count:,}"

    @display(description="detail")
    def more(self, entry: AuditEntry) -> str:
        return wording.shorten(entry.detail, 80) or wording.NOTHING
