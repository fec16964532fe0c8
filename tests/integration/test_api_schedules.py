"""Schedules in the HTTP API: looked at, made, paused, run and backfilled, by the permissions of the admin."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from furrow import Job
from furrow.models import AuditEntry, Schedule, Tick

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


def test_a_timing_is_previewed(api: Api) -> None:
    told = api.get("schedules/preview?timing=0+3+*+*+*&timezone=Europe/Berlin").json()
    assert (told["words"], told["timezone"], len(told["next_times"])) == ("At 03:00 every day", "Europe/Berlin", 5)
    assert "bad minute" in fields(api.get("schedules/preview?timing=61+*+*+*+*"))["timing"]
    assert [*fields(api.get("schedules/preview?timing=@daily&starts_at=2030-01-01"))] == ["starts_at"]


NIGHTLY = {"name": "nightly", "kind": "kinds.keeps", "timing": "0 3 * * *", "arguments": {"word": "hush"}}


def test_schedules_are_made_changed_and_deleted_and_that_is_written_down(api: Api) -> None:
    answer = api.post("schedules", {**NIGHTLY, "window": 60, "tags": ["api"]}, Idempotency_Key="once")
    assert answer.status_code == 201, answer.content
    assert "hush" not in answer.content.decode()
    told = answer.json()
    assert (told["condition"], told["window"], told["options"], told["declared"]) == ("on", 60.0, {"tags": ["api"]}, False)
    assert api.post("schedules", {**NIGHTLY, "window": 60, "tags": ["api"]}, Idempotency_Key="once").json() == told
    here = f"schedules/{told['id']}"
    changed = api.post(f"{here}/change", {"timing": "@every 2h", "overlap": "skip", "tags": None, "priority": 1}).json()
    assert (changed["timing"], changed["overlap"], changed["options"]) == ("@every 2h", "skip", {"priority": 1})
    assert Schedule.objects.get().arguments == {"word": {"$secret": "hush"}}
    assert api.post(f"{here}/change", {"starts_at": "2036-01-01T00:00:00+01:00"}).json()["next_at"] == "2035-12-31T23:00:00Z"
    assert api.post(f"{here}/delete").json() == {"schedule": "nightly", "changed": True}
    assert not Schedule.objects.exists()
    entries = AuditEntry.objects.exclude(action="create token").order_by("pk")
    assert [entry.action for entry in entries] == ["add", "change", "change", "delete"]
    assert {(entry.target, entry.origin, entry.token) for entry in entries} == {("schedule nightly", "API", str(api.token))}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"timing": "61 * * * *"}, "timing", "bad minute"),
        ({"timezone": "Europe/Berlim"}, "timezone", "Europe/Berlin"),
        ({"kind": "kinds.keep"}, "kind", "Did you mean kinds.keeps"),
        ({"arguments": {}}, "arguments", "word: is missing"),
        ({"arguments": []}, "arguments", "must be an object"),
        ({"name": "taken"}, "name", "already exists"),
        ({"name": "x" * 201}, "name", "200 characters"),
        ({"catch_up": "some"}, "catch_up", "valid choice"),
        ({"window": -1}, "window", "from 0 to"),
        ({"jitter": 1e9}, "jitter", "from 0 to"),
        ({"starts_at": "2030-01-01"}, "starts_at", "no time with a zone"),
        ({"starts_at": "2030-01-02T00:00Z", "ends_at": "2030-01-01T00:00Z"}, "ends_at", "after the start"),
        ({"queue": "none"}, "queue", "is unknown"),
        ({"max_attempts": 0}, "max_attempts", "1"),
        ({"tags": "x"}, "tags", "list of texts"),
        ({"times": 1}, "times", "not permitted"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(api: Api, body: dict[str, Any], field: str, said: str) -> None:
    due("taken")
    answer = api.post("schedules", {**NIGHTLY, **body})
    assert (answer.status_code, said in fields(answer).get(field, "")) == (422, True), answer.content
    assert Schedule.objects.count() == 1


def test_those_of_the_code_are_not_changed(api: Api) -> None:
    row = due(source="code")
    for verb in ("change", "delete"):
        answer = api.post(f"schedules/{row.pk}/{verb}", {"timing": "@daily"} if verb == "change" else None)
        assert (answer.status_code, "declared in the code" in answer.json()["detail"]) == (409, True)
    Schedule.objects.update(orphaned_at=now())
    assert api.post(f"schedules/{row.pk}/delete").json()["changed"] is True


def test_who_may_change_schedules(db: None) -> None:
    row, guarded = due(), due("guarded", kind="kinds.guarded", arguments={"n": 1})
    body = {"name": "mine", "kind": "kinds.noop", "timing": "@daily"}
    may = Api(somebody("view_schedule", "add_schedule", "change_schedule", "delete_schedule", "submit_job"))
    assert may.post("schedules", body).status_code == 201
    assert may.post(f"schedules/{row.pk}/change", {"timing": "@hourly"}).status_code == 200
    assert may.post("schedules", {**body, "name": "other", "kind": "kinds.guarded"}).status_code == 403
    for verb in ("change", "delete"):
        assert may.post(f"schedules/{guarded.pk}/{verb}", {}).status_code == 403, verb
    for kind in ("kinds.guarded", "furrow.sleep"):
        assert may.post(f"schedules/{row.pk}/change", {"kind": kind}).status_code == 403
    may_not = Api(User.objects.create(username="all", is_superuser=True), kinds=["kinds.add"])
    assert may_not.post("schedules", {**body, "name": "other"}).status_code == 403
    assert may_not.post(f"schedules/{row.pk}/change", {}).status_code == 404
    reader = Api(User.objects.create(username="reads", is_superuser=True), "read")
    assert reader.post("schedules", body).status_code == 403
    assert Schedule.objects.count() == 3


def test_a_token_does_no_more_than_its_user_and_its_kinds(db: None) -> None:
    row = due()
    viewer = Api(somebody("view_schedule"))
    assert viewer.get("schedules").json()["more"] == 0
    assert viewer.post("schedules", NIGHTLY).status_code == 403
    for verb in ("pause", "resume", "run", "backfill", "change", "delete"):
        assert viewer.post(f"schedules/{row.pk}/{verb}", {}).status_code == 403, verb
    everybody = User.objects.create(username="all", is_superuser=True)
    other = Api(everybody, kinds=["kinds.add"])
    assert other.get("schedules").json()["schedules"] == []
    assert other.get(f"schedules/{row.pk}").status_code == 404
    assert Api(User.objects.create(username="none")).get("schedules").status_code == 403
    assert not Job.objects.exists()
