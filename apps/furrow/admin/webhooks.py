"""Webhooks: managed here; each delivery is a job."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from furrow.actions.audit import audit
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import ModelAdmin, Textarea, display
from furrow.diagnosis import wording
from furrow.models import Webhook
from furrow.models.audit_entry import Origin
from furrow.models.webhook import new_secret
from furrow.topics import pattern_problem
from furrow.webhooks.deliveries import send_test
from furrow.webhooks.posting import url_problem


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    """A webhook, its patterns a line each."""

    patterns = forms.CharField(
        widget=Textarea(attrs={"rows": 4}),
        help_text="Names of events, a line each: order.paid, order.*, job.#.failed. “*” is one word, “#” any number of words.",
    )

    class Meta:
        model = Webhook
        fields = ("name", "url", "patterns", "active")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.initial["patterns"] = "\n".join(map(str, self.instance.patterns))

    def clean_patterns(self) -> list[str]:
        """Each is one that can match."""
        patterns = [line.strip() for line in str(self.cleaned_data["patterns"]).splitlines() if line.strip()]
        if problems := [problem for pattern in patterns if (problem := pattern_problem(pattern))]:
            raise ValidationError(problems)
        return patterns

    def clean_url(self) -> str:
        """One that Furrow may send to."""
        url = str(self.cleaned_data["url"])
        if problem := url_problem(url):
            raise ValidationError(f"{problem[0].upper()}{problem[1:]}.")
        return url


@shows(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Webhooks: the one table of ours that people edit."""

    form = WebhookForm
    empty_title = "No webhooks yet"
    empty_text = "A webhook sends events, of jobs or of your own, to another program. Add one with its address."
    actions = ("test", "renew")
    change_form_outer_before_template = "admin/furrow/webhook/buttons.html"
    ordering = ("-id",)
    search_ids = ()
    search_texts = ("name", "url")
    search_help_text = "Name or address"
    list_display = ("name", "address", "wants", "condition", "deliveries")
    readonly_fields = ("address", "all_patterns", "condition", "secret_text", "deliveries", "created")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(ModelAdmin.has_add_permission(self, request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(ModelAdmin.has_change_permission(self, request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(ModelAdmin.has_delete_permission(self, request, obj))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """What there is to see of one that exists."""
        changes = obj is None or self.has_change_permission(request, obj)
        own = ["name", "url", "patterns", "active"] if changes else ["name", "address", "all_patterns", "active"]
        return [*own, "condition", "secret_text", "deliveries", "created"] if obj else own

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        self._secret_is_shown = self.has_change_permission(request, obj)
        return tuple(super().get_readonly_fields(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Who switches one on again begins anew."""
        if obj.active:
            obj.failures, obj.failing_since, obj.disabled_reason = 0, None, ""
        super().save_model(request, obj, form, change)
        self._write_down(request, "change" if change else "add", obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._write_down(request, "delete", obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for hook in queryset:
            self._write_down(request, "delete", hook)
        super().delete_queryset(request, queryset)

    @admin.action(description="Send a test event", permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Each gets an event that nobody else gets; its delivery says what came of it."""
        for hook in queryset:
            link = reverse("admin:furrow_job_change", args=[send_test(hook).pk])
            messages.success(request, format_html('{}: <a href="{}">the delivery</a>.', hook.name, link))

    @admin.action(description="Make a new secret", permissions=["change"])
    def renew(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """From the next delivery on."""
        for hook in queryset:
            Webhook.objects.filter(pk=hook.pk).update(secret=new_secret())
            self._write_down(request, "renew secret", hook)
            messages.success(request, f"{hook.name} has a new secret: its page shows it.")

    def _write_down(self, request: HttpRequest, action: str, hook: Webhook) -> None:
        audit(action, by=request.user, origin=Origin.ADMIN, target=f"webhook {hook.name}", detail=hook.url)

    @display(description="URL")
    def address(self, hook: Webhook) -> SafeString:
        return format_html('<span class="fw-long fw-anywhere">{}</span>', wording.plain(hook.url))

    @display(description="events")
    def wants(self, hook: Webhook) -> SafeString:
        patterns = wording.shorten(", ".join(map(str, hook.patterns)), 80)
        return format_html('<span class="fw-long fw-anywhere">{}</span>', patterns)

    @display(description="patterns")
    def all_patterns(self, hook: Webhook) -> SafeString:
        return format_html('<span class="fw-anywhere">{}</span>', wording.plain(", ".join(map(str, hook.patterns))))

    @display(description="condition")
    def condition(self, hook: Webhook) -> SafeString | str:
        if hook.disabled_reason and not hook.active:
            reason = wording.plain(hook.disabled_reason)
            return format_html('<span class="fw-long">{} {}</span>', wording.label("failed"), reason)
        if not hook.active:
            return "switched off"
        if hook.failures and hook.failing_since:
            return format_html(
                '<span class="fw-long">{} failed attempts since {}</span>', hook.failures, wording.moment(hook.failing_since)
            )
        return "well"

    @display(description="deliveries")
    def deliveries(self, hook: Webhook) -> SafeString:
        return format_html('<a class="fw-button" href="{}?tag={}">show</a>', reverse("admin:furrow_job_changelist"), hook.tag)

    @display(description="secret")
    def secret_text(self, hook: Webhook) -> SafeString:
        shown = hook.secret if self._secret_is_shown else "only who may change the webhook sees it"
        return format_html("<code>{}</code>", shown)

    @display(description="made")
    def created(self, hook: Webhook) -> str:
        return wording.exact(hook.created_at)
