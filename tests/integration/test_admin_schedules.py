"""The pages of schedules: the list, the form with what it says meanwhile, what people do, backfills, the calendar."""

import datetime as dt
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from furrow import Job
from furrow.admin.forms.schedule import ScheduleForm
from furrow.models import AuditEntry, Schedule, Tick
from furrow.schedules import acting
from furrow.schedules.upcoming import condition

from tests.pages import page
from tests.people import login
from tests.rows import make
from tests.schedules import HOUR, MINUTE, due, fire, now

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs"), pytest.mark.filterwarnings("ignore:No directory at")]

BASE = "furrow/schedule/"
GIVEN = {
    "name": "nightly",
    "kind": "kinds.add",
    "arguments": '{"a": 1}',
    "timing": "0 3 * * *",
    "timezone": "Europe/Berlin",
    "catch_up": "all",
    "catch_up_window": "3600",
    "overlap": "skip",
    "jitter": "0",
    "queue": "",
    "priority": "2",
}


def post(site: Client, path: str, data: dict[str, Any] | None = None) -> int:
    """Send a form; the status."""
    return site.post(f"/admin/{BASE}{path}", data or {}).status_code


def acts() -> list[tuple[str, str, str]]:
    """What the audit log has: action, target, from where."""
    return list(AuditEntry.objects.order_by("pk").values_list("action", "target", "origin"))


def test_the_list_says_when_each_comes_and_what_became_of_the_last_times(site: Client) -> None:
    quarter = now().replace(minute=now().minute // 15 * 15, second=0, microsecond=0)
    row = due("quarterly", timing="*/15 * * * *", next_at=quarter)
    Tick.objects.create(schedule=row, due_at=now() - HOUR, outcome="skipped", note="the job before it had not ended")
    fire()
    text = page(site, BASE)
    assert "Every 15th minute" in text
    assert 'fw-spark fw-warning"' in text
    assert "the job before it had not ended" in text
    assert f'href="/admin/furrow/job/{Job.objects.get().pk}/change/" class="fw-spark' in text


def test_a_form_makes_a_schedule_with_its_next_time_and_writes_that_down(site: Client) -> None:
    assert post(site, "add/", GIVEN) == 302
    row = Schedule.objects.get()
    assert (row.source, row.arguments, row.options, row.overlap) == ("admin", {"a": 1}, {"priority": 2}, "skip")
    assert row.next_at is not None
    assert row.next_at.astimezone(dt.UTC).hour in (1, 2)
    assert row.fire_at == row.next_at
    assert acts() == [("add", "schedule nightly", "admin")]
    assert post(site, f"{row.pk}/change/", {**GIVEN, "timing": "@hourly"}) == 302
    assert Schedule.objects.get().next_at == now().replace(minute=0, second=0, microsecond=0) + HOUR


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("timing", "61 * * * *", "bad minute"),
        ("timezone", "Europe/Berln", "did you mean"),
        ("arguments", "{", "This is not JSON"),
        ("arguments", "[1]", "It must be a JSON object"),
        ("arguments", '{"b": 2}', "a: is missing"),
        ("queue", "nowhere", "is unknown"),
        ("priority", "12", "must be a whole number"),
        ("jitter", "-1", "from 0 to"),
    ],
)
def test_a_form_names_what_is_wrong(site: Client, field: str, value: str, reason: str) -> None:
    answer = site.post(f"/admin/{BASE}add/", {**GIVEN, field: value})
    assert answer.status_code == 200
    assert reason in answer.content.decode()
    assert not Schedule.objects.exists()


def test_what_was_typed_is_said_in_words_with_its_next_times(site: Client) -> None:
    given = {"kind": "kinds.add", "arguments": "{}", "timing": "0 3 * * *", "timezone": "Europe/Berlin"}
    told = json.loads(site.get(f"/admin/{BASE}preview/", given).content)
    assert told["words"] == "At 03:00 every day"
    assert len(told["next"]) == 5
    assert list(told["problems"]) == ["a"]
    told = json.loads(site.get(f"/admin/{BASE}preview/", {**given, "timing": "every day", "arguments": "{"}).content)
    assert {*told["problems"]} == {"timing", "arguments"}


def test_secrets_are_masked_and_stay_as_they_are(site: Client) -> None:
    row = due("calls", kind="kinds.keeps", arguments={"word": {"$secret": "hush-hush"}, "text": "x"})
    text = page(site, f"{BASE}{row.pk}/change/")
    assert "hush-hush" not in text
    assert "••••••" in text
    given = {**GIVEN, "name": "calls", "kind": "kinds.keeps", "arguments": '{"word": "••••••", "text": "y"}', "priority": ""}
    answer = site.post(f"/admin/{BASE}{row.pk}/change/", given)
    assert answer.status_code == 302, answer.content.decode()
    assert Schedule.objects.get().arguments == {"word": {"$secret": "hush-hush"}, "text": "y"}


@pytest.mark.parametrize(("changed", "kept"), [({"priority": "7"}, True), ({"timing": "*/5 * * * *"}, False)])
def test_a_change_keeps_times_that_are_to_be_caught_up_unless_it_is_of_its_times(
    site: Client, changed: dict[str, str], kept: bool
) -> None:
    row = due("late", kind="kinds.add", ago=3 * HOUR, arguments={"a": "no number"}, held="a: no number")
    given = {**GIVEN, "name": "late", "timing": row.timing, "timezone": row.timezone, "catch_up": "one", "overlap": "allow"}
    assert post(site, f"{row.pk}/change/", {**given, "catch_up_window": "86400", **changed}) == 302
    assert (Schedule.objects.get().next_at == row.next_at) is kept
    assert fire() == int(kept)


def test_a_change_undoes_nothing_that_happened_since_its_form_was_read(admin_user: User) -> None:
    row = due("busy", kind="kinds.add", arguments={"a": 1})
    given = {**GIVEN, "name": "busy", "timing": row.timing, "timezone": row.timezone}
    form = type("Form", (ScheduleForm,), {"user": admin_user})(given, instance=Schedule.objects.get())
    assert form.is_valid(), form.errors
    assert fire() == 1
    acting.pause(row, by="ann", reason="a move")
    form.save(commit=False).save()
    changed = Schedule.objects.get()
    assert (condition(changed), changed.reason, changed.fire_at) == ("paused", "a move", None)
    assert changed.last_job == Job.objects.get().pk
    assert (changed.options, changed.submitted_by) == ({"priority": 2}, admin_user)


def test_jobs_of_people_are_submitted_in_their_name(site: Client, admin_user: User) -> None:
    row = due(ago=HOUR)
    assert post(site, f"{row.pk}/run/do/") == 302
    span = {"start": f"{now() - 2 * MINUTE:%Y-%m-%dT%H:%M:%S}", "end": f"{now():%Y-%m-%dT%H:%M:%S}", "step": "do"}
    assert post(site, f"{row.pk}/backfill/", span) == 302
    assert Job.objects.count() > 1
    assert {one.submitted_by_id for one in Job.objects.all()} == {admin_user.pk}


def test_people_pause_resume_and_run_and_that_is_written_down(site: Client) -> None:
    row = due()
    assert post(site, f"{row.pk}/pause/do/", {"reason": "a move"}) == 302
    row.refresh_from_db()
    assert (condition(row), row.fire_at, row.reason) == ("paused", None, "a move")
    assert "Paused by admin: a move" in page(site, f"{BASE}{row.pk}/change/")
    assert fire() == 0
    assert post(site, f"{row.pk}/run/do/") == 302
    assert Tick.objects.get().origin == "run now"
    assert post(site, f"{row.pk}/resume/do/") == 302
    row.refresh_from_db()
    assert row.fire_at is not None
    assert row.fire_at > now() - MINUTE
    assert [action for action, *_ in acts()] == ["pause", "run now", "resume"]
    job = Job.objects.get()
    assert AuditEntry.objects.get(action="run now").job == job.pk
    assert f'href="/admin/furrow/schedule/{row.pk}/change/">it</a>' in page(site, f"furrow/job/{job.pk}/change/")


def test_declared_ones_are_not_changed_here_and_orphaned_ones_may_be_deleted(site: Client) -> None:
    row = due(source="code")
    assert "The code" not in page(site, f"{BASE}{row.pk}/change/")
    assert post(site, f"{row.pk}/change/", GIVEN) == 403
    assert post(site, f"{row.pk}/delete/", {"post": "yes"}) == 403
    Schedule.objects.update(orphaned_at=now(), fire_at=None)
    assert "The code does not declare it any more" in page(site, f"{BASE}{row.pk}/change/")
    assert post(site, f"{row.pk}/delete/", {"post": "yes"}) == 302
    assert not Schedule.objects.exists()


def span(hours: int) -> dict[str, str]:
    """The fields of a backfill that ends now."""
    end = now()
    return {"start": f"{end - hours * HOUR:%Y-%m-%dT%H:%M:%S}", "end": f"{end:%Y-%m-%dT%H:%M:%S}"}


def test_a_backfill_shows_how_many_jobs_it_makes_and_makes_them_once(site: Client) -> None:
    row = due(timing="@hourly", next_at=now() + HOUR)
    taken = now().replace(minute=0, second=0, microsecond=0) - HOUR
    Tick.objects.create(schedule=row, due_at=taken, job=make().pk)
    Tick.objects.create(schedule=row, due_at=taken - HOUR, outcome="missed")
    wanted = 5 if now().minute or now().second else 6
    answer = site.post(f"/admin/{BASE}{row.pk}/backfill/", {**span(6), "step": "look"})
    assert f"Submit {wanted} jobs" in answer.content.decode()
    assert Job.objects.count() == 1
    assert post(site, f"{row.pk}/backfill/", {**span(6), "step": "do"}) == 302
    assert Job.objects.count() == wanted + 1
    assert set(Tick.objects.filter(outcome="fired").values_list("origin", flat=True)) == {"time", "backfill"}
    assert AuditEntry.objects.get().count == wanted
    assert acting.missing(row, now() - 6 * HOUR, now()) == []
    row.refresh_from_db()
    assert row.fire_at is not None
    assert row.fire_at > now()


def test_a_backfill_of_what_lies_ahead_is_refused(site: Client) -> None:
    row = due()
    ahead = {**span(1), "end": f"{now() + 48 * HOUR:%Y-%m-%dT%H:%M}", "step": "do"}
    answer = site.post(f"/admin/{BASE}{row.pk}/backfill/", ahead)
    assert answer.status_code == 422
    assert "lies ahead" in answer.content.decode()


def test_the_calendar_tells_crowded_minutes_and_what_came_late(site: Client) -> None:
    for number in range(3):
        due(f"s{number}", timing="30 3 * * *", next_at=(now() + 24 * HOUR).replace(hour=3, minute=30, second=0, microsecond=0))
    row = due("late", next_at=now() + 400 * 24 * HOUR)
    at = now().replace(hour=0, minute=5, second=0, microsecond=0)
    Tick.objects.create(schedule=row, due_at=at, fired_at=at + dt.timedelta(seconds=90), job=make().pk)
    Tick.objects.update(fired_at=at + dt.timedelta(seconds=90))
    text = page(site, f"{BASE}calendar/?day={now() + 24 * HOUR:%Y-%m-%d}")
    assert "03:30: 4 jobs (late, s0, s1, s2)" in text
    text = page(site, f"{BASE}calendar/")
    assert "1 min 30 s" in text
    assert site.get(f"/admin/{BASE}calendar/?day=x").status_code == 400


def test_who_may_only_look_is_offered_nothing(client: Client) -> None:
    row = due()
    viewer = login(client, "view_schedule")
    text = page(viewer, f"{BASE}{row.pk}/change/")
    assert "Run now" not in text
    assert 'name="reason"' not in text
    assert post(viewer, f"{row.pk}/run/do/") == 403
    assert post(viewer, f"{row.pk}/backfill/", {**span(1), "step": "do"}) == 403
    assert not Job.objects.exists()
