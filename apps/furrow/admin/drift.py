"""Drift: the page of disagreements between rows, messages and processes."""

from django.http import HttpRequest

from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.diagnosis.drift import MEANINGS
from furrow.models import Drift


@shows(Drift)
class DriftAdmin(ReadOnlyAdmin):
    """One row a kind of disagreement."""

    empty_title = "Not checked yet"
    empty_text = (
        "The leading dispatcher checks every few seconds and repairs what it finds. Start one: manage.py furrow dispatcher"
    )
    list_display = ("meaning", "now", "repaired_ever", "last_found", "last_repaired", "looked")
    list_display_links = None
    ordering = ("name",)
    search_fields = ()

    def has_view_permission(self, request: HttpRequest, obj: Drift | None = None) -> bool:
        """The list; there is no page of one."""
        return obj is None and super().has_view_permission(request, obj)

    @display(description="what disagrees")
    def meaning(self, drift: Drift) -> str:
        return MEANINGS.get(drift.name, drift.name)

    @display(description="now")
    def now(self, drift: Drift) -> str:
        return f"{drift.found:,}"

    @display(description="repaired")
    def repaired_ever(self, drift: Drift) -> str:
        return f"{drift.repaired:,}"

    @display(description="last found")
    def last_found(self, drift: Drift) -> str:
        return wording.moment(drift.found_at) if drift.found_at else wording.NOTHING

    @display(description="last repaired")
    def last_repaired(self, drift: Drift) -> str:
        return wording.moment(drift.repaired_at) if drift.repaired_at else wording.NOTHING

    @display(description="looked at")
    def looked(self, drift: Drift) -> str:
        return wording.moment(drift.looked_at)
