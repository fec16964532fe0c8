"""Events of schedules, workflows, approvals and signals: each act and move is told in its transaction, if it is wanted."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from furrow import Job, cancel, current_job, decide, send_signal, submit, workflow
from furrow.admin.forms.schedule_json import written
from furrow.events import telling
from furrow.models import Approval, Event, Schedule, Tick, Webhook
from furrow.schedule import Schedule as Declared
from furrow.schedules import acting, sync
from furrow.testing import advance, drain
from furrow.workflows import acts, forking
from pytest_django import Settings

from tests import kinds
from tests.kinds import approved
from tests.schedules import DAY, HOUR, due, fire, now

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
MAY = "auth.add_group"


@pytest.fixture
def wanted(settings: Settings) -> None:
    """All but the events of jobs."""
    settings.FURROW = {**settings.FURROW, "EVENTS": [f"{one}.#" for one in ("schedule", "workflow", "approval", "signal")]}


def told() -> list[str]:
    """The names of what was told since the last look."""
    rows = Event.objects.exclude(name__startswith="job.").order_by("pk")
    names = list(rows.values_list("name", flat=True))
    rows.delete()
    return names


def once(name: str, **columns: Any) -> Schedule:
    """A schedule of which one time has come, and no other soon."""
    moment = now().replace(second=0, microsecond=0)
    return due(name, timing="@every 7d", starts_at=moment, next_at=moment, **columns)


# --- Schedules --------------------------------------------------------------------------------------------------------


def test_what_becomes_of_the_times_of_a_schedule_is_told(wanted: None) -> None:
    row = once("nightly: report")
    fire()
    event = Event.objects.exclude(name__startswith="job.").get()
    one, tick = Job.objects.get(), Tick.objects.get()
    assert event.name == "schedule.nightly_report.fired"
    at = tick.due_at.isoformat().replace("+00:00", "Z")
    known = {"schedule": row.pk, "name": "nightly: report", "kind": "kinds.noop"}
    assert event.data == {**known, "due_at": at, "job": str(one.pk), "origin": "time", "missed": 0, "note": ""}
    once("busy", overlap="skip", last_job=one.pk)
    due("missed", ago=3 * DAY, catch_up="none", timing="@every 2d")
    held = due("held", kind="kinds.gone")
    fire()
    Schedule.objects.filter(pk=held.pk).update(fire_at=now())
    fire()
    names = told()
    assert names.count("schedule.held.held") == 1, "held again, it is not told again"
    assert {"schedule.busy.skipped", "schedule.missed.missed"} <= {*names}
    assert acting.run_now(Schedule.objects.get(name="missed"))
    span = (now() - 5 * DAY, now() - DAY)
    count = len(acting.backfill(Schedule.objects.get(name="missed"), *span))
    assert told() == ["schedule.missed.fired"] * (count + 1)


def test_what_is_done_to_a_schedule_is_told(wanted: None, settings: Settings) -> None:
    row = written({"name": "it", "kind": "kinds.noop", "timing": "@daily"}, None)
    written({"timing": "@hourly"}, None, row)
    assert acting.pause(row, by="ada", reason="a move")
    assert not acting.pause(row)
    data = Event.objects.get(name="schedule.it.paused").data
    assert (data["by"], data["reason"]) == ("ada", "a move")
    assert acting.resume(row)
    assert acting.delete(row)
    assert told() == [f"schedule.it.{event}" for event in ("added", "changed", "paused", "resumed", "deleted")]
    settings.FURROW = {**settings.FURROW, "SCHEDULES": {"declared": Declared("@daily", kind="kinds.noop")}}
    sync.sync()
    settings.FURROW = {**settings.FURROW, "SCHEDULES": {}}
    sync.sync(dry=True)
    sync.sync()
    assert [name for name in told() if "declared" in name] == ["schedule.declared.added", "schedule.declared.orphaned"]


# --- Workflows --------------------------------------------------------------------------------------------------------


def test_what_happens_to_a_workflow_is_told_but_for_those_inside(wanted: None) -> None:
    with workflow("order 7") as w:
        w.workflow("inside").add(kinds.fails, max_attempts=1)
    acts.pause(w.id)
    acts.resume(w.id)
    drain(raise_on_failure=False)
    acts.restart(w.id)
    drain(raise_on_failure=False)
    forked = forking.fork(w.id, "inside")
    acts.cancel(forked.pk, reason="enough")
    assert Event.objects.get(name="workflow.order_7.cancelling").data["reason"] == "enough"
    drain(raise_on_failure=False)
    happened = ["submitted", "paused", "resumed", "failed", "restarted", "failed", "submitted", "cancelling", "cancelled"]
    assert told() == [f"workflow.order_7.{event}" for event in happened]


# --- Approvals and signals --------------------------------------------------------------------------------------------


def test_an_approval_is_told_when_it_is_asked_decided_and_expired(wanted: None) -> None:
    with workflow("release") as w:
        first = w.approval("Release?", permission=MAY, description="confidential", form=approved.reason)
        second = w.approval("Sure?", permission=MAY, after=[first], timeout=60)
        w.approval("Really?", permission=MAY, after=[second.failed], timeout=60)
    drain(raise_on_failure=False)
    boss = User.objects.create(username="boss", is_superuser=True)
    decide(Approval.objects.get(), by=boss, approved=True, note="fine", answers={"text": "confidential"})
    event = Event.objects.get(name="approval.auth_add_group.approved")
    assert (event.data["by"], event.data["note"], event.data["workflow"]) == ("boss", "fine", str(w.id))
    assert "confidential" not in str(event.data)
    drain(raise_on_failure=False)
    advance(dt.timedelta(seconds=61))
    drain(raise_on_failure=False)
    decide(Approval.objects.get(title="Really?"), by=boss, approved=False)
    drain(raise_on_failure=False)
    names = [name for name in told() if name.startswith("approval.")]
    happened = ["asked", "approved", "asked", "expired", "asked", "rejected"]
    assert names == [f"approval.auth_add_group.{event}" for event in happened]


def test_a_handler_whose_approval_expired_tells_it_once_in_all_its_runs(wanted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approved, "script", lambda: current_job.approval("Go?", permission=MAY, timeout=60))
    submit(approved.asks, max_attempts=3)
    drain(raise_on_failure=False)
    for _ in range(4):
        advance(HOUR)
        drain(raise_on_failure=False)
    assert told() == ["approval.auth_add_group.asked", "approval.auth_add_group.expired"]


def test_a_signal_is_told_without_what_it_carries(wanted: None) -> None:
    one = submit(kinds.noop)
    send_signal(one, "paid in full", {"card": "confidential"}, by="ada")
    event = Event.objects.exclude(name__startswith="job.").get()
    known = {"to": str(one.pk), "jobs": [str(one.pk)], "name": "paid in full", "by": "ada", "delivered": False}
    assert (event.name, event.data) == ("signal.paid_in_full.sent", known)


# --- All of them ------------------------------------------------------------------------------------------------------


def _something() -> None:
    row = once("it")
    fire()
    acting.pause(row)
    with workflow("order") as w:
        w.add(kinds.noop)
    send_signal(submit(kinds.noop), "paid")
    cancel([one.pk for one in Job.objects.all()])


def test_what_nobody_wants_is_not_written() -> None:
    Webhook.objects.create(name="off", url="https://a.example/", patterns=["#"], active=False)
    _something()
    assert told() == []


def test_what_is_rolled_back_was_never_told(wanted: None) -> None:
    with transaction.atomic():
        _something()
        assert len(told()) == 4
        transaction.set_rollback(True)
    assert told() == []


def test_a_webhook_alone_wants_it() -> None:
    Webhook.objects.create(name="on", url="https://a.example/", patterns=["#.fired", "workflow.*.submitted"])
    _something()
    assert told() == ["schedule.it.fired", "workflow.order.submitted"]


def test_subscribers_that_lead_to_one_another_come_to_an_end(wanted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "chain", lambda: 9)
    _something()
    assert told() == []


def test_names_are_words() -> None:
    assert [telling.word(name) for name in ("order 7: größer", "a.b", "…", "x" * 200)] == [
        "order_7_gr_er",
        "a_b",
        "_",
        "x" * 100,
    ]
