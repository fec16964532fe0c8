"""Backfills in the admin: the list, the form with its preview, the page of one and its buttons."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from furrow import Job, State, backfill
from furrow.models import AuditEntry, Backfill

from tests.integration.test_backfills import end, make, move
from tests.kinds import groups, renames
from tests.people import login

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]
LIST = "/admin/furrow/backfill/"


def test_a_backfill_is_previewed_and_started_by_a_form(site: Client) -> None:
    made = make(12, "<b>&")
    listed = site.get(LIST).content.decode()
    assert "No backfill was started yet" in listed
    assert "The groups whose names begin so." in listed
    address = reverse("admin:furrow_backfill_start", args=[groups.name])
    form = {"begin": "<b>", "option.rate": "50/s", "option.max_failures": "0.1"}
    shown = site.post(address, {**form, "step": "look"}).content.decode()
    assert "12 rows, 12 jobs" in shown
    assert f"from {made[0].pk} to {made[-1].pk}" in shown
    assert not Backfill.objects.exists()
    answer = site.post(address, {**form, "option.rate": "fast", "step": "do"})
    assert answer.status_code == 422
    assert "must be a number of starts" in answer.content.decode()
    answer = site.post(address, {**form, "step": "do"}, follow=True)
    row = Backfill.objects.get()
    assert answer.redirect_chain[-1][0] == reverse("admin:furrow_backfill_change", args=[row.pk])
    assert (row.parameters, row.rate, row.max_failures) == ({"begin": "<b>"}, "50/s", 0.1)
    assert AuditEntry.objects.get(action="start").target == f"backfill {groups.name}"
    again = site.post(address, {**form, "step": "do"})
    assert "the same is under way" in again.content.decode()
    assert "<b>&" not in answer.content.decode().replace("<b>&amp;", "")


def test_the_page_shows_how_far_it_is_and_what_failed_and_its_buttons_act(site: Client) -> None:
    make(8)
    row = backfill(Group.objects.filter(name__startswith="group"), renames, ahead=4, max_failures=2)
    move(row)
    Job.objects.filter(batch=row.pk).update(error="ValueError: <script>")
    end(row, State.FAILED)
    move(row)
    page = reverse("admin:furrow_backfill_change", args=[row.pk])
    shown = site.get(page).content.decode()
    assert "4 jobs failed: more than 2" in shown
    assert "4 of 8 rows with a job" in shown
    assert "ValueError: &lt;script&gt;" in shown
    assert "name__startswith" in shown
    assert f"?batch={row.pk}&amp;state=failed" in shown

    def press(verb: str) -> str:
        row.refresh_from_db()
        return site.post(reverse("admin:furrow_backfill_do", args=[row.pk, verb]), follow=True).content.decode()

    assert "runs 4 jobs again" in press("retry")
    assert "goes on" in press("resume")
    assert "nothing changed" in press("resume")
    assert "is paused" in press("pause")
    assert "is cancelled" in press("cancel")
    assert site.post(reverse("admin:furrow_backfill_do", args=[row.pk, "burn"])).status_code == 404
    assert "cancelled" in site.get(LIST).content.decode()
    assert [*AuditEntry.objects.order_by("pk").values_list("action", flat=True)] == ["retry", "resume", "pause", "cancel"]
    live = site.get(reverse("admin:furrow_backfill_live", args=[row.pk]))
    assert (live.status_code, live.headers["X-Last"]) == (200, "yes")


def test_who_may_only_look_has_no_buttons_and_starts_none(client: Client) -> None:
    make(2)
    row = groups.start(begin="group")
    viewer = login(client, "view_backfill", "view_job")
    shown = viewer.get(reverse("admin:furrow_backfill_change", args=[row.pk])).content.decode()
    assert "fw-buttons" not in shown
    assert "Start one" not in viewer.get(LIST).content.decode()
    assert viewer.get(reverse("admin:furrow_backfill_start", args=[groups.name])).status_code == 403
    assert viewer.post(reverse("admin:furrow_backfill_do", args=[row.pk, "pause"])).status_code == 403
