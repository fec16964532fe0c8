"""A foreign-key argument: rows offered by search, limited to those that the person may view."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import reverse

from furrow.admin import theme
from furrow.admin.forms.fields import WordField
from furrow.admin.site import shown_by
from furrow.kinds.hints import ForeignKey, find_hint
from furrow.kinds.kind import Kind
from furrow.web.parameters import whole

#: Rows that one answer to a search holds.
PAGE = 20
#: Keys that one question to the database names.
CHUNK = 5_000


class RowField(WordField):
    """A row, chosen from a list that is searched as one types. The value is its primary key."""

    kind_of_input = "row"

    def __init__(self, kind: str, argument: str, model: type[Model], **options: Any) -> None:
        self.model = model
        super().__init__(**options)
        self.widget.attrs["data-ajax--url"] = reverse("admin:furrow_job_submit_rows", args=[kind, argument])
        self.widget.attrs["data-allow-clear"] = "false" if self.must_be_filled else "true"

    def make_widget(self) -> Any:
        return theme.AutocompleteSelect({"data-placeholder": f"Search {self.model._meta.verbose_name_plural}"})

    def offer(self, user: Any, value: Any) -> None:
        """Show the row that is chosen now by its name, if this user may see it."""
        choices = [("", "")]
        if value not in (None, ""):
            seen = may_view_rows(user, self.model) and _is_key(self.model, value)
            row = _visible(user, self.model).filter(pk=value).first() if seen else None
            choices.append((str(value), str(value) if row is None else str(row)))
        self.widget.choices = choices


def rows(request: HttpRequest, kind: Kind, argument: str) -> JsonResponse:
    """The rows that a search finds, for the browser: ``{"results": [{"id", "text"}], "pagination": {"more"}}``.

    Raises:
        Http404: the argument is no row, or the user may not see such rows.
    """
    model = row_arguments(kind).get(argument)
    if model is None or not may_view_rows(request.user, model):
        raise Http404
    begin = max(0, whole(request, "page", 1, most=1_000) - 1) * PAGE
    found = list(_search(request.user, model, request.GET.get("term", "").strip()[:200])[begin : begin + PAGE + 1])
    results = [{"id": str(row.pk), "text": str(row)} for row in found[:PAGE]]
    return JsonResponse({"results": results, "pagination": {"more": len(found) > PAGE}})


def row_arguments(kind: Kind) -> dict[str, type[Model]]:
    """The models of the arguments that name rows."""
    fields = kind.arguments.model.model_fields
    hints = {
        name: find_hint(f.annotation, f.metadata, ForeignKey) for name in kind.arguments.names for f in [fields[f"a_{name}"]]
    }
    return {name: hint.resolve() for name, hint in hints.items() if hint}


def may_view_rows(user: Any, model: type[Model]) -> bool:
    """May see rows of this model, as its own admin decides. ``None``: whoever has a shell here, who may see everything."""
    if user is None:
        return True
    own = shown_by(model)
    if own is not None:
        return bool(own.has_view_permission(_request(user)))
    return any(user.has_perm(f"{model._meta.app_label}.{action}_{model._meta.model_name}") for action in ("view", "change"))


def missing_rows(kind: Kind, user: Any, given: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """For each row of arguments (valid ones), what is wrong with those that name rows, by argument; empty where nothing is."""
    given = list(given)
    wrong: list[dict[str, str]] = [{} for _ in given]
    for argument, model in row_arguments(kind).items():
        named = [row.get(argument) for row in given]
        keys = {key for key in named if key is not None}
        if not keys:
            continue
        called = model._meta.verbose_name
        if not may_view_rows(user, model):
            problem = (
                f"you may not see any {called}: ask for the permission {model._meta.app_label}.view_{model._meta.model_name}"
            )
            known: set[Any] = set()
        else:
            problem, known = f"there is no {called} with the key {{}}: choose one that exists", _known(user, model, keys)
        for number, key in enumerate(named):
            if key is not None and str(key) not in known:
                wrong[number][argument] = problem.format(key)
    return wrong


def _known(user: Any, model: type[Model], keys: Iterable[Any]) -> set[str]:
    """Those of the keys that rows have which this user may see, as texts."""
    wanted = [key for key in keys if _is_key(model, key)]
    known: set[str] = set()
    for begin in range(0, len(wanted), CHUNK):
        found = _visible(user, model).filter(pk__in=wanted[begin : begin + CHUNK])
        known |= set(map(str, found.values_list("pk", flat=True)))
    return known


def _visible(user: Any, model: type[Model]) -> QuerySet[Any]:
    """The rows that the model's own admin shows this user; without an admin, all."""
    own = shown_by(model)
    everything: QuerySet[Any] = model._default_manager.all()
    return everything if own is None or user is None else own.get_queryset(_request(user))


def _request(user: Any) -> HttpRequest:
    """What a model's admin asks: it wants a request, of which only the user counts here."""
    request = HttpRequest()
    request.user = user
    return request


def _is_key(model: type[Model], key: Any) -> bool:
    """This could be a primary key of this model: the right type, within its range."""
    try:
        model._meta.pk.clean(key, None)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return False
    return True


def _search(user: Any, model: type[Model], term: str) -> QuerySet[Any]:
    """As the model's own admin searches; a model without one is searched by its key."""
    own, request = shown_by(model), _request(user)
    if own is not None and own.get_search_fields(request):
        found: QuerySet[Any]
        found, has_duplicates = own.get_search_results(request, _visible(user, model), term)
        found = found.distinct() if has_duplicates else found
        return found if found.ordered else found.order_by("pk")
    everything = _visible(user, model).order_by("pk")
    if not term:
        return everything
    return everything.filter(pk=term) if _is_key(model, term) else everything.none()
