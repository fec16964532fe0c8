"""Tokens of the HTTP API: made here, with a secret that is shown once; revoked here."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from furrow.actions import tokens
from furrow.actions.permissions import may_make_tokens, may_revoke
from furrow.admin import site, theme
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.errors import InputError
from furrow.models import ApiToken
from furrow.models.api_token import Scope
from furrow.models.users import find_user
from furrow.plural import counted
from furrow.statements import clock

#: What each scope lets a token do.
_SCOPES = {
    Scope.READ: "see jobs, queues, workers, errors",
    Scope.SUBMIT: "submit jobs",
    Scope.ACT: "cancel, retry, snooze; pause queues",
    Scope.WORK: "run jobs, as an external worker",
}
_DAYS = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}


@shows(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """The tokens. Whoever may add some makes them for themselves; a superuser for anybody."""

    empty_title = "No tokens yet"
    empty_text = "A token lets a program use the HTTP API as the user whom it is made for."
    list_display = ("name", "person", "begins", "may", "of_kinds", "until", "used", "condition")
    list_display_links = ("name",)
    search_ids = ()
    search_texts = ("name", "beginning")
    search_help_text = "Name, or the secret's beginning"
    fields = ("name", "person", "begins", "may", "of_kinds", "made", "until", "used", "condition")
    readonly_fields = ("person", "begins", "may", "of_kinds", "made", "until", "used", "condition")
    change_form_outer_before_template = "admin/furrow/token/buttons.html"
    actions = ("revoke_selected",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_make_tokens(request.user)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """May revoke some: any, or one's own."""
        return may_revoke(request.user, request.user.pk)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form; posted, it makes a token and shows its secret, which cannot be shown again. No page of the admin is kept by
        a browser or a proxy (Django's ``never_cache``)."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = _Form(request.user, request.POST if request.method == "POST" else None)
        context = {**site.context(request, ApiToken), "title": "New API token", "form": form, "address": _api_address(request)}
        if made := form.make():
            token, secret = made
            context |= {"title": "API token made", "token": token, "secret": secret}
            return TemplateResponse(request, "admin/furrow/token/made.html", context)
        return TemplateResponse(request, "admin/furrow/token/form.html", context, status=422 if form.errors else 200)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        token = ApiToken.objects.filter(pk=object_id).first() if object_id.isdecimal() and len(object_id) < 19 else None
        revocable = token is not None and token.revoked_at is None and may_revoke(request.user, token.user_id)
        extra = {**(extra_context or {}), "may_revoke": revocable}
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(require_POST(self.revoke))
        urls: list[URLPattern] = super().get_urls()
        return [path("<int:token_id>/revoke/", revoke, name="furrow_apitoken_revoke"), *urls]

    def revoke(self, request: HttpRequest, token_id: int) -> HttpResponse:
        """Let a token be used no more."""
        token = ApiToken.objects.filter(pk=token_id).first() if token_id < 2**63 else None
        if not may_revoke(request.user, token.user_id if token else None):
            raise PermissionDenied
        if token is None:
            raise Http404(f"There is no token {token_id}.")
        if tokens.revoke(token, by=request.user):
            messages.success(request, f"The token {token} is revoked: it opens nothing any more.")
        else:
            messages.info(request, f"The token {token} was revoked before.")
        return HttpResponseRedirect(reverse("admin:furrow_apitoken_changelist"))

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Let the chosen ones be used no more; those of others only for who may revoke any."""
        chosen = [token for token in queryset if may_revoke(request.user, token.user_id)]
        revoked = [token for token in chosen if tokens.revoke(token, by=request.user)]
        messages.success(request, f"{counted(len(revoked), 'token')} revoked.")

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="acts as")
    def person(self, token: ApiToken) -> str:
        user = find_user(token.user_id)
        return user.get_username() if user else wording.NOTHING

    @display(description="secret")
    def begins(self, token: ApiToken) -> str:
        return f"{token.beginning}…"

    @display(description="scopes")
    def may(self, token: ApiToken) -> str:
        return ", ".join(map(str, token.scopes)) or wording.NOTHING

    @display(description="kinds")
    def of_kinds(self, token: ApiToken) -> str:
        return wording.shorten(", ".join(map(str, token.kinds)), 100) or "all"

    @display(description="made")
    def made(self, token: ApiToken) -> str:
        by = find_user(token.created_by_id)
        return wording.exact(token.created_at) + (f" by {by.get_username()}" if by else "")

    @display(description="expires")
    def until(self, token: ApiToken) -> str:
        return wording.moment(token.expires_at) if token.expires_at else "never"

    @display(description="last used")
    def used(self, token: ApiToken) -> str:
        return wording.moment(token.last_used_at) if token.last_used_at else "never"

    @display(description="condition")
    def condition(self, token: ApiToken) -> SafeString:
        if token.revoked_at:
            return wording.label("revoked")
        return wording.label("expired" if token.expires_at and token.expires_at <= clock.now() else "valid")


def _api_address(request: HttpRequest) -> str:
    """Where the API is; empty: the project's URLs do not have it."""
    try:
        return request.build_absolute_uri(reverse("furrow-api:api-root"))
    except NoReverseMatch:
        return ""


class _Form(forms.Form):
    """What a token may be used for, and until when."""

    name = forms.CharField(max_length=100, widget=theme.TextInput(), help_text="To tell tokens apart: where it is used.")
    user = forms.CharField(max_length=150, widget=theme.TextInput(), label="Acts as", help_text="A user name.")
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {text}") for scope, text in _SCOPES.items()],
        widget=forms.CheckboxSelectMultiple(),
        help_text="Never more than the user may.",
    )
    kinds = forms.CharField(
        required=False, widget=theme.Textarea({"rows": 2}), help_text="Names of kinds, separated by spaces; empty: all."
    )
    expires = forms.ChoiceField(choices=list(_DAYS.items()), required=False, initial="90", widget=theme.Select())

    def __init__(self, by: Any, data: Any) -> None:
        super().__init__(data)
        self._by = by
        for name, field in self.fields.items():
            field.must_be_filled, field.kind_of_input = field.required, name  # type: ignore[attr-defined]
        if not by.is_superuser:
            del self.fields["user"]
        else:
            self.initial["user"] = by.get_username()

    def clean_user(self) -> Any:
        """The user of this name."""
        users = get_user_model()
        name = self.cleaned_data["user"]
        user = users._default_manager.filter(**{users.USERNAME_FIELD: name}, is_active=True).first()
        if user is None:
            raise forms.ValidationError(f"There is no active user {name!r}.")
        return user

    def make(self) -> tuple[ApiToken, str] | None:
        """The token that was asked for, and its secret; ``None`` when nothing, or nothing that can be, was asked for."""
        if not self.is_valid():
            return None
        given, days = self.cleaned_data, self.cleaned_data["expires"]
        expires_at = clock.now() + dt.timedelta(days=int(days)) if days else None
        user, kinds = given.get("user", self._by), given["kinds"].replace(",", " ").split()
        try:
            return tokens.make(
                given["name"], user=user, scopes=given["scopes"], kinds=kinds, expires_at=expires_at, by=self._by
            )
        except InputError as error:
            for name, text in error.fields.items():
                self.add_error(name if name in self.fields else None, text)
            return None
