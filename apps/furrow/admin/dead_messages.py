"""Dead messages: list, reason and contents; replay and delete."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from furrow.actions import dead_letters
from furrow.actions.audit import audit
from furrow.admin.filters import BridgeFilter
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.errors import BrokerError, DeadMessageError
from furrow.models import DeadMessage
from furrow.models.audit_entry import Origin

#: Bytes of a body that the page shows.
SHOWN = 4_096


@shows(DeadMessage)
class DeadMessageAdmin(ReadOnlyAdmin):
    """Messages that no worker could use."""

    empty_title = "No dead messages"
    empty_text = "A message that no worker can process is kept here with the reason, to be replayed or deleted."
    list_display = ("received", "short_reason", "came_from", "worker", "bytes")
    list_display_links = ("received",)
    search_ids = ()
    search_texts = ("reason", "properties", "worker")
    search_help_text = "Text in reason, properties, worker"
    fields = ("received_exact", "reason", "came_from", "worker", "all_properties", "bytes", "beginning")
    readonly_fields = ("received_exact", "came_from", "all_properties", "bytes", "beginning")
    change_form_outer_before_template = "admin/furrow/dead/buttons.html"
    list_filter = (BridgeFilter,)
    actions = ("replay_selected", "delete_chosen")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("furrow.delete_deadmessage")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """May send them again."""
        return may_replay(request)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        """Without Django's own deletion, which counts and lists all that it would delete. Since Django 6.1 there is
        ``action_location``: for the list, or for the page of one message."""
        where = {} if action_location is None else {"action_location": action_location}
        return {name: found for name, found in super().get_actions(request, **where).items() if name != "delete_selected"}

    def get_urls(self) -> list[URLPattern]:
        replay = self.admin_site.admin_view(require_POST(self.replay))
        urls: list[URLPattern] = super().get_urls()
        return [path("<int:message_id>/replay/", replay, name="furrow_deadmessage_replay"), *urls]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found if request.resolver_match and "object_id" in request.resolver_match.kwargs else found.defer("body")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = {**(extra_context or {}), "may_replay": self.has_replay_permission(request)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    # --- Actions ----------------------------------------------------------------------------------------------------

    def replay(self, request: HttpRequest, message_id: int) -> HttpResponse:
        """Send one again."""
        if not self.has_replay_permission(request):
            raise PermissionDenied
        send_again(request, [message_id])
        return HttpResponseRedirect(reverse("admin:furrow_deadmessage_changelist"))

    @admin.action(description="Replay", permissions=["replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[DeadMessage]) -> None:
        """Send the chosen ones again."""
        send_again(request, list(queryset.order_by("pk").values_list("pk", flat=True)))

    @admin.action(description="Delete", permissions=["delete"])
    def delete_chosen(self, request: HttpRequest, queryset: QuerySet[DeadMessage]) -> None:
        """Forget the chosen ones."""
        gone = [pk for pk in queryset.order_by("pk").values_list("pk", flat=True) if dead_letters.delete(pk)]
        _write_down(request, "delete", gone)
        messages.success(request, f"{len(gone):,} deleted.")

    def delete_model(self, request: HttpRequest, obj: DeadMessage) -> None:
        """Forget one, from its page."""
        if dead_letters.delete(obj.pk):
            _write_down(request, "delete", [obj.pk])

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="received")
    def received(self, message: DeadMessage) -> str:
        return wording.moment(message.received_at)

    @display(description="received")
    def received_exact(self, message: DeadMessage) -> str:
        return wording.exact(message.received_at)

    @display(description="reason")
    def short_reason(self, message: DeadMessage) -> SafeString:
        return format_html(
            '<span class="fw-long" title="{0}">{1}</span>', wording.plain(message.reason), wording.shorten(message.reason, 160)
        )

    @display(description="came from")
    def came_from(self, message: DeadMessage) -> str:
        return " → ".join(filter(None, [message.exchange or "(default)", message.routing_key]))

    @display(description="bytes")
    def bytes(self, message: DeadMessage) -> str:
        return f"{message.size:,}"

    @display(description="properties")
    def all_properties(self, message: DeadMessage) -> SafeString:
        return format_html(
            '<pre class="fw-pre">{}</pre>', wording.plain(wording.pretty_json(message.properties)[: wording.SHOWN])
        )

    @display(description="body")
    def beginning(self, message: DeadMessage) -> str:
        """As Python writes bytes: nothing in it can do anything."""
        if not message.size:
            return wording.NOTHING
        text = repr(bytes(message.body[:SHOWN]))[2:-1]
        rest = f"\n… {message.size - SHOWN:,} bytes more" if message.size > SHOWN else ""
        return format_html('<pre class="fw-pre">{}{}</pre>', text, rest)


def may_replay(request: HttpRequest) -> bool:
    """This user may send dead messages again."""
    return request.user.has_perms(["furrow.view_deadmessage", "furrow.replay_deadmessage"])


def send_again(request: HttpRequest, ids: list[int]) -> None:
    """Replay these messages as far as it goes, and say what came of it: RabbitMQ away ends it."""
    sent = []
    for pk in ids:
        try:
            sent += [pk] if dead_letters.replay(pk) else []
        except DeadMessageError as error:
            messages.warning(request, str(error))
        except BrokerError as error:
            messages.error(request, f"Message {pk} and those after it were kept: {error}.")
            break
    _write_down(request, "replay", sent)
    if sent:
        messages.success(request, f"{len(sent):,} sent again; what still cannot be used comes back here.")


def _write_down(request: HttpRequest, action: str, ids: list[int]) -> None:
    """In the audit log: which messages."""
    if ids:
        target = f"dead message {ids[0]}" if len(ids) == 1 else "dead messages"
        detail = ", ".join(map(str, ids)) if len(ids) > 1 else ""
        audit(action, by=request.user, origin=Origin.ADMIN, target=target, count=len(ids), detail=detail)
