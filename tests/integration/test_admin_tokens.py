"""Tokens in the admin: made with a secret that is shown once, for whom one may, and revoked."""

import re

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from furrow.actions import tokens
from furrow.admin.tokens import _api_address
from furrow.models import ApiToken, AuditEntry
from furrow.models.api_token import hash_of
from pytest_django import Settings

from tests.people import login

pytestmark = [pytest.mark.usefixtures("unlimited"), pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

ADD, LIST = "/admin/furrow/apitoken/add/", "/admin/furrow/apitoken/"
GIVEN = {"name": "nightly", "scopes": ["read", "submit"], "kinds": "kinds.add", "expires": "30"}


def test_the_secret_is_shown_once_and_opens_the_api(site: Client, admin_user: User) -> None:
    page = site.post(ADD, {**GIVEN, "user": "admin"})
    (secret,) = re.findall(r"fw_[\w-]{40,}", page.content.decode())
    assert "no-store" in page["Cache-Control"]
    assert "http://testserver/api/jobs" in page.content.decode()
    token = ApiToken.objects.get()
    assert (token.hash, token.user, token.kinds) == (hash_of(secret), admin_user, ["kinds.add"])
    assert Client().get("/api/kinds", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    pages = site.get(LIST).content.decode() + site.get(f"{LIST}{token.pk}/change/").content.decode()
    assert (secret in pages, secret[:9] in pages) == (False, True)
    entry = AuditEntry.objects.get(action="create token")
    assert (entry.who, secret in str(entry.detail)) == ("admin", False)


def test_where_no_api_is_served_the_page_says_so(settings: Settings) -> None:
    settings.ROOT_URLCONF = "furrow.streaming.urls"
    address = _api_address(RequestFactory().get("/"))
    assert "This project does not serve the HTTP API" in render_to_string(
        "admin/furrow/token/no_api.html", {"address": address}
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scopes": []}, "This field is required"),
        ({"kinds": "kinds.ad"}, "there is no kind &#x27;kinds.ad&#x27;"),
        ({"user": "nobody"}, "There is no active user"),
        ({"name": "taken"}, "has a token &#x27;taken&#x27; already"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(site: Client, admin_user: User, change: dict[str, object], said: str) -> None:
    tokens.make("taken", user=admin_user, scopes=["read"])
    page = site.post(ADD, {**GIVEN, "user": "admin", **change})
    assert (page.status_code, said in page.content.decode()) == (422, True)
    assert ApiToken.objects.count() == 1


def test_who_is_no_superuser_makes_tokens_for_oneself_alone(client: Client, admin_user: User) -> None:
    login(client, "add_apitoken")
    client.post(ADD, {**GIVEN, "user": "admin"})
    assert ApiToken.objects.get().user == User.objects.get(username="somebody")


@pytest.mark.parametrize("from_list", [False, True])
def test_a_revoked_token_opens_nothing(client: Client, admin_user: User, from_list: bool) -> None:
    token, secret = tokens.make("mine", user=admin_user, scopes=["read"])
    login(client, "add_apitoken")
    assert client.post(f"{LIST}{token.pk}/revoke/").status_code == 403, "it is somebody else's"
    client.post(LIST, {"action": "revoke_selected", "_selected_action": str(token.pk)})
    assert not ApiToken.objects.filter(revoked_at__isnull=False).exists()
    client.force_login(admin_user)
    if from_list:
        client.post(LIST, {"action": "revoke_selected", "_selected_action": str(token.pk)})
    else:
        client.post(f"{LIST}{token.pk}/revoke/")
    assert Client().get("/api/kinds", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert AuditEntry.objects.filter(action="revoke token", who="admin").count() == 1
    tokens.make("mine", user=admin_user, scopes=["read"])  # the name is free again
