"""What every list of the engine's tables has in common: it shows and does not edit, and it is cheap on millions of rows."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

#: A list counts its rows up to this number and offers no more pages.
COUNTED = 10_000
#: A search in texts looks through the newest rows, up to this number.
SEARCHED = 100_000


class LimitedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts only to a limit: ``count(*)`` over millions of rows takes seconds."""

    template_name = "admin/jobs/pagination.html"
    limit = COUNTED

    @cached_property
    def count(self) -> int:
        """The number of rows, at most the limit."""
        rows = self.object_list
        return rows.order_by()[: self.limit + 1].count() if isinstance(rows, QuerySet) else len(rows)

    @property
    def is_limited(self) -> bool:
        """There are more rows than were counted."""
        return self.count > self.limit


class LimitedChangeList(ChangeList):
    """A list whose whole table is never counted."""

    def get_results(self, request: HttpRequest) -> None:
        """The page's rows; the header shows no second number."""
        super().get_results(request)
        self.full_result_count = self.result_count


class ReadOnlyAdmin(ModelAdmin):
    """A table to look at: no adding, editing or deleting, newest first, no ordering that would have to sort everything."""

    actions: Any = None
    paginator = LimitedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    list_filter_submit = True
    list_fullwidth = True
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields: tuple[str, ...] = ("id",)
    #: Columns that a search looks through, newest rows only; and those that hold a UUID to be met exactly.
    search_texts: tuple[str, ...] = ()
    search_ids: tuple[str, ...] = ("id",)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        """The class of the list."""
        return LimitedChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are made by the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An edited record would lie."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The dispatcher prunes."""
        return False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """A UUID is met exactly; anything else is looked for in the texts of the newest rows."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            wanted = uuid.UUID(term)
        except ValueError:
            return self._search_texts(request, queryset, term), False
        return queryset.filter(_any(f"{name}__exact" for name in self.search_ids)(wanted)), False

    def _search_texts(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        oldest = queryset.order_by("-pk").values_list("pk", flat=True)[SEARCHED : SEARCHED + 1].first()
        if oldest is not None:
            queryset = queryset.filter(pk__gt=oldest)
            messages.info(request, f"Searched the newest {SEARCHED:,} rows; narrow the list with filters to search older ones.")
        return self.prepare_search(queryset).filter(_any(f"{name}__icontains" for name in self.search_texts)(term))

    def prepare_search(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Annotate what the search looks through."""
        return queryset


def _any(lookups: Any) -> Any:
    names = list(lookups)

    def condition(value: Any) -> Q:
        found = Q(pk__in=[])
        for name in names:
            found |= Q(**{name: value})
        return found

    return condition
