"""Events: a read-only table of what was told, and who subscribes to it."""

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from furrow.admin import filters
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.events.subscribers import Subscriber, all_subscribers
from furrow.models import Event


@shows(Event)
class EventAdmin(ReadOnlyAdmin):
    """Events, newest first."""

    empty_title = "No events yet"
    empty_text = (
        "publish() leaves a row here, and so does each move of a job while somebody wants to hear of it: a kind with "
        "@subscribe, or FURROW['EVENTS']."
    )
    list_display = ("when", "what", "of_job", "subscribers", "published")
    list_display_links = ("what",)
    list_filter = (filters.NameFilter, filters.JobFilter, filters.HappenedFilter)
    search_texts = ("name",)
    search_ids = ("job",)
    search_help_text = "Job id, or text in the name"
    fields = ("exact_time", "name", "of_job", "number", "all_data", "published_exact", "subscribed", "depth")
    readonly_fields = ("exact_time", "of_job", "all_data", "published_exact", "subscribed")

    @display(description="when")
    def when(self, event: Event) -> str:
        return wording.moment(event.created_at)

    @display(description="when")
    def exact_time(self, event: Event) -> str:
        return wording.exact(event.created_at)

    @display(description="event")
    def what(self, event: Event) -> str:
        return format_html("<b>{}</b>", wording.shorten(event.name, 120))

    @display(description="job")
    def of_job(self, event: Event) -> str:
        """Leads to the job, if it is still there."""
        if event.job is None:
            return wording.NOTHING
        return format_html(
            '<a class="fw-linked" href="{}"><code>{}</code></a>',
            reverse("admin:furrow_job_change", args=[event.job]),
            event.job,
        )

    @display(description="subscribers")
    def subscribers(self, event: Event) -> str:
        return ", ".join(one.kind.name for one in _wanting(event)) or wording.NOTHING

    @display(description="published")
    def published(self, event: Event) -> str:
        return wording.moment(event.published_at) if event.published_at else "waits"

    @display(description="published")
    def published_exact(self, event: Event) -> str:
        return wording.exact(event.published_at) if event.published_at else "waits for RabbitMQ's confirm"

    @display(description="data")
    def all_data(self, event: Event) -> SafeString:
        return format_html('<pre class="fw-pre">{}</pre>', wording.plain(wording.indented(event.data)[: wording.SHOWN]))

    @display(description="subscribers")
    def subscribed(self, event: Event) -> str:
        """Each with its patterns and its queue."""
        rows = [(one.kind.name, ", ".join(one.patterns), one.queue) for one in _wanting(event)]
        return format_html_join("", '<p class="fw-anywhere"><b>{}</b> ({}), queue <code>{}</code></p>', rows) or wording.NOTHING


def _wanting(event: Event) -> list[Subscriber]:
    return [one for one in all_subscribers() if one.wants(event.name, event.depth)]
