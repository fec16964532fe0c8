"""Base of the engine's lists: read-only, and cheap on millions of rows."""

import uuid
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import escape
from django.utils.safestring import SafeString

from furrow.admin import keyset, theme
from furrow.admin.theme import ChangeList, ModelAdmin, display
from furrow.web import parameters

#: Parameters of an address that say where in the list a page is; they are no filters.
PLACE = ("after", "before", "patient")


class KeysetPaginator(Paginator):  # type: ignore[type-arg]
    """Where the template of the pages' links is; the list itself finds the rows."""

    template_name = "admin/furrow/pagination.html"


class KeysetChangeList(ChangeList):
    """A list in pages by key (:mod:`furrow.admin.keyset`): no part of it gets slower with the table."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """The parameters that are filters."""
        given = super().get_filters_params(params)
        return {name: value for name, value in given.items() if name not in PLACE}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """An address of this list; it begins with the first page unless it says otherwise."""
        kept = {name: value for name, value in self.filter_params.items() if name not in PLACE}
        kept = {name: value for name, value in kept.items() if name not in (remove or [])}
        kept |= new_params or {}
        return "?" + urlencode(sorted((name, value) for name, value in kept.items() if value is not None), doseq=True)

    def get_results(self, request: HttpRequest) -> None:
        """One page of rows, and how many there are, exactly or about."""
        place = self._place(request)
        self.page = keyset.page(self.queryset, place, self.list_per_page)
        self.result_list = self.page.rows
        whole = not (self.page.newer or self.page.older or self.page.searched)
        self.result_count, self.is_exact = (len(self.result_list), True) if whole else self._count(request)
        self.full_result_count = self.result_count
        self.show_full_result_count = self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = KeysetPaginator(self.result_list, self.list_per_page)

    def _count(self, request: HttpRequest) -> tuple[int, bool]:
        """What took too long to find is not counted, nor a search: nobody knows without looking through everything."""
        unknown = self.query or self.page.searched or self.page.gave_up
        counted, exact = (None, False) if unknown else keyset.count(self.queryset)
        return counted or 0, exact

    @property
    def is_more(self) -> bool:
        """There are more than were counted, and nobody can say how many."""
        return not self.is_exact and self.result_count == keyset.COUNTED + 1

    def _place(self, request: HttpRequest) -> keyset.Place:
        key = self.model._meta.pk
        place = keyset.Place(patient=parameters.one_of(request, "patient", ["1"]) == "1")
        for name in ("after", "before"):
            if (text := request.GET.get(name)) and key is not None:
                try:
                    setattr(place, name, key.clean(text, None))
                except ValidationError:
                    parameters.note(request, name, f"{text[:60]!r} is no place in this list; here is its beginning")
        return place

    @property
    def newer_link(self) -> str:
        """The page before this one."""
        return self.get_query_string({"before": self.result_list[0].pk}) if self.page.newer and self.result_list else ""

    @property
    def older_link(self) -> str:
        """The page after this one."""
        return self.get_query_string({"after": self.result_list[-1].pk}) if self.page.older and self.result_list else ""

    @property
    def further_link(self) -> str:
        """Goes on looking where this page's search ended, with more patience."""
        if self.page.gave_up:
            return self.get_query_string({"patient": "1"})
        return self.get_query_string({"after": self.page.searched_to, "patient": "1"}) if self.page.searched_to else ""


class ReadOnlyAdmin(ModelAdmin):
    """A table to look at: no adding, editing or deleting, newest first, no ordering that would have to sort everything."""

    actions: Any = None
    show_full_result_count = False
    list_per_page = 30
    list_max_show_all = 0
    list_filter_submit = True
    list_fullwidth = True
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields: tuple[str, ...] = ("id",)
    #: Columns that a search looks through; and those that hold a UUID to be met exactly.
    search_texts: tuple[str, ...] = ()
    search_ids: tuple[str, ...] = ("id",)
    #: What the list says when it is empty, and what to do then.
    empty_title = empty_text = ""

    change_list_template = theme.LIST
    change_form_template = theme.FORM

    @property
    def media(self) -> Any:
        """The site's, and ours."""
        return super().media + theme.MEDIA

    @display(description=theme.ALL_ROWS)
    def action_checkbox(self, row: Any) -> str:
        """The box before each row: the theme's, without rendering its template each time."""
        return SafeString(_box().replace("KEY", escape(str(row.pk))))

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        """The class of the list."""
        return KeysetChangeList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only the list's own filters: Django would take any column of the table from the address (``arguments__icontains``),
        and so tell what is in a secret."""
        return lookup in {getattr(known, "parameter_name", known) for known in self.get_list_filter(request)}

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list; an address may have its filters, the search and the place, and nothing else."""
        known = {getattr(known, "parameter_name", known) for known in self.get_list_filter(request)}
        parameters.refuse_unknown(request, {*known, *PLACE, *parameters.OF_LISTS})
        return super().get_changelist_instance(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are made by the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An edited record would lie."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The dispatcher prunes."""
        return False

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *rest: Any, **options: Any) -> HttpResponse:
        """Without Django's history, which knows only of edits in forms: the audit log has what was done."""
        answer: HttpResponse = super().render_change_form(request, {**context, "show_history": False}, *rest, **options)
        return answer

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """A UUID is met exactly; anything else is looked for in the texts."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            wanted = uuid.UUID(term)
        except ValueError:
            texts = (f"{name}__icontains" for name in self.search_texts)
            return self.prepare_search(queryset).filter(_any(texts, term)), False
        return queryset.filter(_any((f"{name}__exact" for name in self.search_ids), wanted)), False

    def prepare_search(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Annotate what the search looks through."""
        return queryset


class PageAdmin(ReadOnlyAdmin):
    """One page of all there is, in place of a list: there is no table of it, or its rows alone say little."""

    search_fields = ()

    def views(self) -> dict[str, Callable[..., HttpResponse]]:
        """By the last word of their addresses' names: ``changelist`` is the page, any other is at its word, as ``live/``."""
        raise NotImplementedError

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The page; there is no page of one."""
        return obj is None and super().has_view_permission(request, obj)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The page."""
        return self.views()["changelist"](request)

    def get_urls(self) -> list[URLPattern]:
        """The pages; Django's own for single rows make no sense here."""
        wrap, first = self.admin_site.admin_view, f"furrow_{self.opts.model_name}_"
        return [
            path("" if word == "changelist" else f"{word}/", wrap(view), name=first + word)
            for word, view in self.views().items()
        ]


@cache
def _box() -> SafeString:
    return theme.box(ACTION_CHECKBOX_NAME, "KEY")


def _any(lookups: Iterable[str], value: Any) -> Q:
    found = Q(pk__in=[])
    for lookup in lookups:
        found |= Q(**{lookup: value})
    return found
