"""The errors page: failures of one sort, together."""

import pytest
from django.test import Client
from furrow.models import ErrorGroup
from furrow.states import State

from tests.pages import page
from tests.people import login
from tests.rows import fail

pytestmark = [pytest.mark.usefixtures("nobody_runs"), pytest.mark.filterwarnings("ignore:No directory at")]


def test_failures_of_one_sort_stand_together(admin_client: Client) -> None:
    for number in range(3):
        fail(f"card {number} was refused")
    fail("card 9 was refused", state=State.PENDING)
    other = fail("<script>odd</script>\u202e", kind="kinds.noop")
    text = page(admin_client, "errors/")
    assert text.count("fw-error-group") == 2
    assert "ValueError: card 0 was refused" in text
    assert "<b>4</b> runs, <b>3</b> jobs failed" in text
    assert "tasks/pay.py in charge" in text
    assert "<script>odd" not in text
    assert f"/admin/furrow/job/{other.pk}/change/" in text
    fingerprint = ErrorGroup.objects.get(kind="kinds.add").fingerprint
    assert f"bulk/?action=retry&amp;state=failed&amp;kind=kinds.add&amp;fingerprint={fingerprint}" in text
    assert page(admin_client, f"furrow/job/?state=failed&kind=kinds.add&fingerprint={fingerprint}").count("card ") >= 3
    narrowed = page(admin_client, "errors/?kind=kinds.noop&period=7d")
    assert narrowed.count("fw-error-group") == 1
    assert page(admin_client, "errors/?kind=nothing&period=7d").count("fw-error-group") == 0


def test_the_errors_page_is_for_who_may_see_jobs(client: Client) -> None:
    assert client.get("/admin/errors/").status_code == 302
    login(client, "view_worker")
    assert client.get("/admin/errors/").status_code == 403
    assert client.get("/admin/errors/live/").status_code == 403


def test_viewers_are_not_offered_to_retry(client: Client) -> None:
    fail("no")
    assert "Retry all" not in page(login(client, "view_job"), "errors/")


def test_an_empty_errors_page_says_what_it_is_for(admin_client: Client) -> None:
    assert "Nothing has failed within the last 24h. Failures that are alike are grouped here" in page(admin_client, "errors/")
