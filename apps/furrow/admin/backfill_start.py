"""The page that starts a declared backfill: its parameters as a form, a preview, the start."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from furrow.actions.audit import audit
from furrow.actions.permissions import may_see, may_start_backfill
from furrow.admin import site, theme
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT
from furrow.admin.forms.options import OPTION
from furrow.backfills import acting, declared
from furrow.diagnosis import wording
from furrow.errors import FurrowError, InputError, SubmitError
from furrow.kinds import docstrings
from furrow.models import Backfill
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic


class StartForm(forms.Form):
    """The parameters by their names, and how fast it goes."""

    def __init__(self, one: declared.Declared, data: Any = None) -> None:
        super().__init__(data)
        self.fields.update(argument_fields(one))
        self.fields[OPTION + "rate"] = forms.CharField(
            label="Rate",
            required=False,
            initial=one.plan.rate,
            widget=theme.TextInput(),
            help_text="Jobs that are added in a time, such as 100/s. Empty: as fast as they run.",
        )
        self.fields[OPTION + "max_failures"] = forms.FloatField(
            label="Stops at failures",
            required=False,
            initial=one.plan.max_failures,
            widget=theme.NumberInput({"step": "any"}),
            help_text="When more jobs than this failed; between 0 and 1: than this share of them. Empty: never.",
        )

    def parameters(self) -> dict[str, Any]:
        """Of the declaration."""
        given = {name: value for name, value in self.cleaned_data.items() if not name.startswith(OPTION)}
        return {name: value for name, value in given.items() if value is not OMIT}

    def changes(self) -> dict[str, Any]:
        """Of its plan."""
        return {name: self.cleaned_data[OPTION + name] for name in ("rate", "max_failures")}

    def show(self, error: FurrowError) -> None:
        """What was refused, at its fields."""
        for name, text in getattr(error, "fields", {"": str(error)}).items():
            field = next((known for known in (name, OPTION + name) if known in self.fields), None)
            self.add_error(field, ValidationError(f"{name}: {text}" if name else text))


@require_http_methods(["GET", "POST"])
def start(request: HttpRequest, name: str) -> HttpResponse:
    """The form; posted, a preview of it; posted again with that, the start."""
    if not may_see(request.user, "backfill"):
        raise PermissionDenied
    try:
        one = declared.get_backfill(name)
    except InputError as error:
        raise Http404(str(error)) from None
    if not may_start_backfill(request.user, one.kind):
        raise PermissionDenied
    form, found = StartForm(one, request.POST if request.method == "POST" else None), None
    if form.is_valid():
        try:
            if request.POST.get("step") == "do":
                return _started(request, one, form)
            rows = one.rows(one.kept(form.parameters()))
            found = acting.preview(rows, one.plan.changed(**form.changes()))
        except (SubmitError, InputError) as error:
            form.show(error)
    context = {
        **site.context(request, Backfill),
        "title": f"Start {wording.shorten(one.name, 60)}",
        "one": one,
        "doc": docstrings.split(one.doc)[0],
        "form": form,
        "found": found,
        "example": wording.plain(wording.indented(found.example)) if found else "",
    }
    status = 422 if form.errors else 200
    return TemplateResponse(request, "admin/furrow/backfill/start.html", context, status=status)


def _started(request: HttpRequest, one: declared.Declared, form: StartForm) -> HttpResponse:
    with atomic():
        row = declared.start(one.name, form.parameters(), submitted_by=request.user, changes=form.changes())
        detail = wording.shorten(str(row.parameters), 300)
        audit("start", by=request.user, origin=Origin.ADMIN, target=f"backfill {row.name}", detail=detail)
    messages.success(request, f"{row.name} is started.")
    return HttpResponseRedirect(reverse("admin:furrow_backfill_change", args=[row.pk]))
