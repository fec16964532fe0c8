"""Empty lists say what they are for and what to do; filters that leave nothing can be taken off."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from furrow import submit
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.locks.models import Lock
from furrow.models import BridgeReader, Queue, Worker

from tests import kinds

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
#: Their lists are pages of their own.
OWN_PAGES = (BridgeReader, Queue, Lock, Worker)


def test_every_list_of_ours_says_what_it_is_for(admin_client: Client) -> None:
    lists = {
        model: of for model, of in admin.site._registry.items() if isinstance(of, ReadOnlyAdmin) and model not in OWN_PAGES
    }
    for model, of in lists.items():
        model._default_manager.all().delete()
        page = admin_client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")).content.decode()
        assert (of.empty_title or "Nothing is here yet") in page
        assert "Create a new item" not in page
    assert "No worker has ever run" in admin_client.get("/admin/furrow/worker/all/").content.decode()


def test_what_matches_nothing_can_be_taken_off(admin_client: Client) -> None:
    submit(kinds.add, {"a": 1}, countdown=60)
    for query in ("?q=nowhere", "?state=failed"):
        page = admin_client.get(f"/admin/furrow/job/{query}").content.decode()
        assert "No results found" in page
        assert '<a class="fw-button" href="?">Show all</a>' in page
    page = admin_client.get("/admin/furrow/job/").content.decode()
    assert "No results found" not in page
    assert "No jobs yet" not in page
