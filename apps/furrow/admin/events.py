"""Events: a read-only table of what was told, and who subscribes to it; replay of chosen ones."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from furrow.admin import event_replay, filters
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.events.subscribers import all_subscribers
from furrow.models import Event
from furrow.webhooks.listeners import listeners


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
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """May send them to somebody again."""
        return bool(event_replay.targets(request))

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        return [path("replay/", self.admin_site.admin_view(event_replay.replay), name="furrow_event_replay"), *urls]

    @admin.action(description="Replay to…", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Event]) -> HttpResponse:
        """Asks to whom."""
        return event_replay.ask(request, list(queryset.values_list("pk", flat=True)[: event_replay.MOST + 1]))

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
        wanting = (one.kind.name for one in all_subscribers() if one.wants(event.name, event.depth))
        return ", ".join(wanting) or wording.NOTHING

    @display(description="published")
    def published(self, event: Event) -> str:
        return wording.moment(event.published_at) if event.published_at else "waits"

    @display(description="published")
    def published_exact(self, event: Event) -> str:
        return wording.exact(event.published_at) if event.published_at else "waits for RabbitMQ's confirm"

    @display(description="data")
    def all_data(self, event: Event) -> SafeString:
        return format_html('<pre class="fw-pre">{}</pre>', wording.plain(wording.indented(event.data)[: wording.SHOWN]))

    @display(description="subscribers and webhooks")
    def subscribed(self, event: Event) -> str:
        """Each with its patterns and its queue. Programs outside have queues that only they know."""
        rows = [
            (one.kind or f"webhook {one.webhook}", ", ".join(one.patterns), f", queue {one.queue}" if one.queue else "")
            for one in listeners([event.name], event.depth)
            if one.kind or one.webhook
        ]
        return format_html_join("", '<p class="fw-anywhere"><b>{}</b> ({}){}</p>', rows) or wording.NOTHING
