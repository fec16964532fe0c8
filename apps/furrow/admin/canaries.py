"""Canaries: which share of a kind goes to which version, and how that fares beside the others; widened and taken back here."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from furrow.actions.audit import audit
from furrow.actions.permissions import may_change_canaries
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.errors import FurrowError
from furrow.models import Canary
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.plural import counted
from furrow.releases import acting
from furrow.releases.comparing import NAMED, Fared, compare


@shows(Canary)
class CanaryAdmin(ReadOnlyAdmin):
    """Each with a line for every version of the code that ran its kind since it began."""

    empty_title = "No canary"
    empty_text = "A canary gives a share of a kind's jobs to the workers of a new version first:"
    empty_example = "manage.py furrow canaries put orders.tasks.charge 2026.11 0.1"
    ordering = ("-id",)
    search_ids = ()
    search_texts = ("kind", "version")
    search_help_text = "Kind or version"
    list_display = ("kind", "share_shown", "fared", "since")
    list_display_links = ("kind",)
    readonly_fields = ("kind", "version", "share_shown", "fared", "since")
    fields = readonly_fields
    change_form_outer_before_template = "admin/furrow/canary/before.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By the buttons alone."""
        return False

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        row = Canary.objects.filter(pk=object_id).first() if object_id.isdecimal() and len(object_id) < 19 else None
        extra = {**(extra_context or {}), "canary": row, "may_change": row and may_change_canaries(request.user, row.kind)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    def get_urls(self) -> list[URLPattern]:
        own = [path("<int:id>/put/", self.admin_site.admin_view(require_POST(put)), name="furrow_canary_put")]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    @display(description="share")
    def share_shown(self, row: Canary) -> str:
        return f"{row.share:.0%} to version {wording.plain(row.version)}"

    @display(description="runs since")
    def fared(self, row: Canary) -> SafeString:
        lines = ((wording.plain(one.version) or "no version", _told(one)) for one in compare(row))
        return format_html('<dl class="fw-facts">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines))

    @display(description="since")
    def since(self, row: Canary) -> str:
        return wording.moment(row.started_at)


def _told(one: Fared) -> str:
    """In words."""
    if not one.runs:
        return "no run yet"
    errors = ", ".join(f"{wording.plain(name)} ({number:,})" for name, number in one.errors.most_common(NAMED))
    told = f"{counted(one.runs, 'run')}, {one.unwell:.1%} not well, median {wording.span(one.middle)}"
    return f"{told}; {errors}" if errors else told


def put(request: HttpRequest, id: int) -> HttpResponse:
    """Give it another share, or take it back."""
    row = Canary.objects.filter(pk=id).first() if id < 2**63 else None
    if row is None:
        if not request.user.has_perm("furrow.change_canary"):
            raise PermissionDenied
        raise Http404(f"There is no canary {id}.")
    if not may_change_canaries(request.user, row.kind):
        raise PermissionDenied
    if request.POST.get("step") == "take back":
        with atomic():
            acting.take_back(row.kind)
            audit("take back canary", by=request.user, origin=Origin.ADMIN, target=f"kind {row.kind}")
        messages.success(request, f"Any worker runs {row.kind} again.")
        return HttpResponseRedirect(reverse("admin:furrow_canary_changelist"))
    try:
        with atomic():
            row = acting.put(row.kind, row.version, float(request.POST.get("percent", "")) / 100)
            audit("canary", by=request.user, origin=Origin.ADMIN, target=f"kind {row.kind}", detail=str(row))
    except (FurrowError, ValueError) as error:
        messages.error(request, f"Nothing was changed: {error}")
    else:
        messages.success(request, f"{row}.")
    return HttpResponseRedirect(reverse("admin:furrow_canary_change", args=[row.pk]))
