"""Schedules in the HTTP API: looked at, paused, run and backfilled, by the permissions of the admin."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from furrow import Job
from furrow.models import AuditEntry, Tick

from tests.api import Api, fields
from tests.people import somebody
from tests.schedules import HOUR, due, now

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs", "unlimited")]


@pytest.fixture
def api(db: None) -> Api:
    """Of a superuser."""
    return Api(User.objects.create(username="all", is_superuser=True))


def test_schedules_are_listed_and_shown(api: Api) -> None:
    row = due("nightly", timing="0 3 * * *", kind="kinds.keeps", arguments={"word": {"$secret": "hush"}}, next_at=now() + HOUR)
    Tick.objects.create(schedule=row, due_at=now() - HOUR, outcome="missed", note="why")
    (one,) = api.get("schedules").json()["schedules"]
    assert (one["name"], one["words"], one["condition"]) == ("nightly", "At 03:00 every day", "on")
    answer = api.get(f"schedules/{row.pk}")
    assert "hush" not in answer.content.decode()
    whole = answer.json()
    assert (len(whole["next_times"]), whole["last_times"][0]["became"]) == (5, "missed")
    assert whole["next_at"].endswith("Z")
    assert api.get("schedules/999999").status_code == 404


def test_schedules_are_paused_resumed_and_run_and_that_is_written_down(api: Api) -> None:
    row = due()
    told = api.post(f"schedules/{row.pk}/pause", {"reason": "a move"}).json()
    assert (told["condition"], told["changed"]) == ("paused", True)
    assert api.post(f"schedules/{row.pk}/pause", {}).json()["changed"] is False
    assert api.post(f"schedules/{row.pk}/run").json()["job"] == str(Job.objects.get().pk)
    assert api.post(f"schedules/{row.pk}/resume").json()["condition"] == "on"
    entries = (
        AuditEntry.objects.exclude(action="create token").order_by("pk").values_list("action", "target", "origin", "token")
    )
    assert [entry[0] for entry in entries] == ["pause", "run now", "resume"]
    assert {entry[1:] for entry in entries} == {("schedule it", "API", str(api.token))}


def test_a_backfill_is_previewed_and_done(api: Api) -> None:
    row = due(timing="@hourly", next_at=now() + HOUR)
    span = {"start": (now() - 3 * HOUR).isoformat(), "end": now().isoformat()}
    assert api.post(f"schedules/{row.pk}/backfill", {**span, "preview": True}).json()["times"] == 3
    assert Job.objects.count() == 0
    assert len(api.post(f"schedules/{row.pk}/backfill", span).json()["jobs"]) == 3
    assert AuditEntry.objects.get(action="backfill").count == 3
    assert "is no time with a zone" in fields(api.post(f"schedules/{row.pk}/backfill", {"start": "2026-01-01T00:00"}))["start"]
    ahead = {**span, "end": (now() + dt.timedelta(days=2)).isoformat()}
    assert "lies ahead" in fields(api.post(f"schedules/{row.pk}/backfill", ahead))["end"]


def test_a_token_does_no_more_than_its_user_and_its_kinds(db: None) -> None:
    row = due()
    viewer = Api(somebody("view_schedule"))
    assert viewer.get("schedules").json()["more"] == 0
    for verb in ("pause", "resume", "run", "backfill"):
        assert viewer.post(f"schedules/{row.pk}/{verb}", {}).status_code == 403, verb
    everybody = User.objects.create(username="all", is_superuser=True)
    other = Api(everybody, kinds=["kinds.add"])
    assert other.get("schedules").json()["schedules"] == []
    assert other.get(f"schedules/{row.pk}").status_code == 404
    assert Api(User.objects.create(username="none")).get("schedules").status_code == 403
    assert not Job.objects.exists()
