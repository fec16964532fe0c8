"""Schedules fire: each time one job, whoever fires, whatever was missed, and whatever cannot be submitted."""

import datetime as dt
import re
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from furrow import Job, KindError, Schedule, State, current_job, job
from furrow.checks import check_schedules
from furrow.diagnosis import troubles
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.timetable import Timetable
from furrow.kinds.kind import _kinds
from furrow.models import Schedule as Row
from furrow.models import Tick, Trouble
from furrow.models.job import new_id
from furrow.schedules import firing, sync
from furrow.schedules.plan import plan
from furrow.schedules.rows import jitter_of
from furrow.testing import drain
from pytest_django import Settings

from tests import kinds, services
from tests.rows import make, state_of
from tests.schedules import DAY, HOUR, MINUTE, due, fire, now, ticks

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

FIRED = ("fired", "time", 0)


def again(row: Row) -> Row:
    """As the database has it now."""
    return Row.objects.get(pk=row.pk)


# --- Exactly once ---------------------------------------------------------------------------------------------------------


def test_a_time_that_has_come_is_one_job_and_the_next_one_follows() -> None:
    row = due(arguments={"a": 1, "b": 2}, kind="kinds.add", options={"priority": 2, "tags": ["nightly"]})
    time = row.next_at
    assert fire() == 1
    assert fire() == 0
    (one,) = Job.objects.all()
    assert (one.kind, one.arguments, one.priority, one.tags) == ("kinds.add", {"a": 1, "b": 2}, 2, ["nightly"])
    (tick,) = Tick.objects.all()
    assert (tick.schedule_id, tick.due_at, tick.job, tick.outcome) == (row.pk, time, one.pk, "fired")
    row = again(row)
    assert time is not None
    assert (row.next_at, row.fire_at, row.last_at, row.last_job) == (time + MINUTE, time + MINUTE, time, one.pk)


def test_many_of_the_same_minute_are_fired_in_batches_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "BATCH", 40)
    for number in range(100):
        due(f"s{number}", kind="kinds.add", arguments={"a": number, "b": 0})
    assert fire() == 100
    assert sorted(one.arguments["a"] for one in Job.objects.all()) == [*range(100)]
    assert Tick.objects.values("job").distinct().count() == 100


def test_a_time_that_had_its_job_gets_no_second_one_when_the_clock_is_set_back() -> None:
    row = due()
    time = row.next_at
    fire()
    Row.objects.update(next_at=time, fire_at=time)
    assert fire() == 1
    assert Job.objects.count() == Tick.objects.count() == 1
    assert again(row).next_at == time + MINUTE if time else None


def test_no_two_ticks_have_one_time() -> None:
    row = due()
    moment = now()
    Tick.objects.create(schedule=row, due_at=moment)
    with pytest.raises(IntegrityError), transaction.atomic():
        Tick.objects.create(schedule=row, due_at=moment)


def test_a_batch_that_dies_leaves_nothing_and_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    row = due()
    monkeypatch.setattr(firing, "_moved", lambda one: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fire()
    assert (Job.objects.count(), Tick.objects.count(), again(row).next_at) == (0, 0, row.next_at)
    monkeypatch.undo()
    assert fire() == 1
    assert Job.objects.count() == 1


# --- Missed times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catch_up", "window", "wanted"),
    [
        ("one", DAY, [("fired", "catch-up", 3)]),
        ("all", DAY, [("fired", "catch-up", 0)] * 4),
        ("none", DAY, [("missed", "time", 3)]),
        ("one", 30 * MINUTE, [("missed", "time", 3)]),
        ("all", 2.5 * HOUR, [("missed", "time", 1), ("fired", "catch-up", 0), ("fired", "catch-up", 0)]),
    ],
)
def test_missed_times(catch_up: str, window: dt.timedelta, wanted: list[tuple[str, str, int]]) -> None:
    """Four of them; the last is three quarters of an hour old."""
    at = (now() - 45 * MINUTE).replace(second=0, microsecond=0)
    timing = f"{at.minute} * * * *"
    row = due(timing=timing, next_at=at - 3 * HOUR, catch_up=catch_up, catch_up_window=window.total_seconds())
    fire()
    assert ticks(row) == wanted
    assert Job.objects.count() == sum(outcome == "fired" for outcome, *_ in wanted)
    assert again(row).next_at == at + HOUR


def test_a_time_of_within_a_minute_was_not_missed() -> None:
    row = due(catch_up="none", timing="@every 10s", next_at=now() - dt.timedelta(seconds=45))
    fire()
    assert {one[:2] for one in ticks(row)} == {("fired", "time")}
    assert len(ticks(row)) >= 4


def test_one_job_for_all_that_was_missed_is_that_of_the_time_that_has_come() -> None:
    row = due(ago=HOUR)
    fire()
    assert ticks(row)[0] in {("fired", "time", 59), ("fired", "time", 60)}
    assert Job.objects.count() <= 2


def test_a_long_absence_is_worked_off_in_parts() -> None:
    row = due(ago=6 * HOUR, catch_up="all")
    assert len(plan(row, now()).due) == 100
    assert fire() > 3
    assert Job.objects.count() in (360, 361)
    assert {outcome for outcome, *_ in ticks(row)} == {"fired"}


# --- Overlap --------------------------------------------------------------------------------------------------------------


def test_a_time_is_skipped_while_the_last_job_has_not_ended() -> None:
    last = make(State.RUNNING)
    row = due(overlap="skip", last_job=last.pk, catch_up="all")
    fire()
    assert ticks(row) == [("skipped", "time", 0)]
    assert Tick.objects.get().note == "the job before it had not ended"
    Job.objects.filter(pk=last.pk).update(state=State.SUCCEEDED, finished_at=now())
    assert again(row).last_job == last.pk
    earlier = (row.next_at or now()) - MINUTE
    Row.objects.update(next_at=earlier, fire_at=earlier)
    fire()
    assert Job.objects.exclude(pk=last.pk).count() == 1


def test_the_last_job_is_cancelled_for_the_next() -> None:
    last = make()
    due(overlap="cancel", last_job=last.pk)
    fire()
    assert state_of(last) == State.CANCELLED
    assert Job.objects.filter(state=State.PENDING).count() == 1


def test_the_last_job_goes_on_when_the_next_one_cannot_be_submitted_or_was_there_already() -> None:
    refused, there = make(state=State.RUNNING, attempt=1), make(state=State.RUNNING, attempt=1)
    due("refused", kind="kinds.gone", overlap="cancel", last_job=refused.pk)
    row = due("there", overlap="cancel", last_job=there.pk)
    Tick.objects.create(schedule=row, due_at=row.next_at or now(), job=there.pk)
    fire()
    assert not Job.objects.filter(cancel_requested_at__isnull=False).exists()


def test_jobs_queue_behind_one_another() -> None:
    row = due(overlap="queue", ago=5 * MINUTE, catch_up="all")
    fire()
    assert {one.order_key for one in Job.objects.all()} == {f"order:schedule:{row.pk}"}


def test_of_several_times_at_once_one_goes_on_where_they_must_not_overlap() -> None:
    skips, cancels = (
        due("a", 5 * MINUTE, overlap="skip", catch_up="all"),
        due("b", 5 * MINUTE, overlap="cancel", catch_up="all"),
    )
    fire()
    assert [outcome for outcome, *_ in ticks(skips)] == ["fired"] + ["skipped"] * (len(ticks(skips)) - 1)
    assert [outcome for outcome, *_ in ticks(cancels)] == ["skipped"] * (len(ticks(cancels)) - 1) + ["fired"]


# --- Start, end, jitter, pause --------------------------------------------------------------------------------------------


def test_nothing_comes_after_its_end_and_a_single_time_comes_once() -> None:
    ends = due("ends", ends_at=now() - dt.timedelta(microseconds=1))
    single = due("single", timing=f"@at {(now() - 5 * dt.timedelta(seconds=1)).isoformat()}", next_at=now() - MINUTE / 4)
    fire()
    for row in (ends, single):
        assert ticks(row) == [FIRED]
        assert (again(row).next_at, again(row).fire_at) == (None, None)


def test_jitter_is_its_own_and_always_the_same() -> None:
    rows = [Row(name=f"s{number}", jitter=600.0) for number in range(50)]
    spread = [jitter_of(row) for row in rows]
    assert spread == [jitter_of(row) for row in rows]
    assert len({*spread}) > 45
    assert all(dt.timedelta(0) <= one < 10 * MINUTE for one in spread)
    row = due("s1", jitter=600.0, next_at=now() + MINUTE)
    assert row.next_at is not None
    assert row.fire_at == row.next_at + jitter_of(row)


def test_a_time_is_due_when_its_jitter_has_passed_and_keeps_its_own_moment() -> None:
    time = (now() - 20 * MINUTE).replace(second=0, microsecond=0)
    row = due("s1", timing=f"{time.minute} {time.hour} * * *", jitter=900.0, next_at=time, catch_up="none")
    if jitter_of(row) > 19 * MINUTE:
        pytest.skip("its own part is too long")
    found = plan(row, time + jitter_of(row) + MINUTE / 60)
    assert [(one.at, one.outcome) for one in found.due] == [(time, "fired")]


def test_one_that_was_paused_or_orphaned_meanwhile_fires_no_more() -> None:
    paused, orphaned = due("a"), due("b")
    Row.objects.filter(pk=paused.pk).update(paused_at=now())
    Row.objects.filter(pk=orphaned.pk).update(orphaned_at=now())
    assert fire() == 2
    assert fire() == 0
    for row in (paused, orphaned):
        assert (ticks(row), again(row).fire_at, again(row).next_at) == ([], None, row.next_at)


# --- What cannot be submitted ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"kind": "kinds.gone"}, "There is no kind 'kinds.gone'"),
        ({"kind": "kinds.add", "arguments": {}}, "a: is missing"),
        ({"options": {"queue": "nowhere"}}, "'nowhere' is unknown"),
        ({"timing": "61 * * * *"}, "bad minute"),
    ],
)
def test_what_cannot_be_submitted_is_held_with_its_reason_and_others_go_on(columns: dict[str, Any], reason: str) -> None:
    other = due("other", kind=columns.get("kind", "kinds.noop").replace("gone", "noop").replace("add", "noop"))
    moment = now().replace(second=0, microsecond=0)
    bad = Row.objects.create(**{"name": "bad", "kind": "kinds.noop", "timing": "* * * * *", "next_at": moment, **columns})
    Row.objects.filter(pk=bad.pk).update(fire_at=moment)
    assert fire() == 2
    bad = again(bad)
    assert reason in bad.held
    assert (bad.next_at, bad.fire_at) == (moment, None)
    assert ticks(bad) == []
    assert ticks(other) == [FIRED]
    assert sync.look_at_held() == 0
    Row.objects.filter(pk=bad.pk).update(kind="kinds.noop", arguments={}, options={}, timing="* * * * *")
    assert sync.look_at_held() == 1
    assert fire() == 1
    assert ticks(bad)[-1][0] == "fired"
    assert again(bad).held == ""


@pytest.mark.parametrize(
    "columns",
    [
        {"jitter": 1e308},
        {"jitter": float("inf")},
        {"catch_up_window": 1e308},
        {"catch_up_window": float("inf"), "catch_up": "all"},
        {"next_at": None},
        {"next_at": dt.datetime(1, 1, 2, tzinfo=dt.UTC), "timing": "@every 1s", "catch_up": "all"},
        {"next_at": dt.datetime(1, 1, 2, tzinfo=dt.UTC), "timing": "* * * * * *", "catch_up": "none"},
        {"starts_at": dt.datetime(9999, 12, 30, tzinfo=dt.UTC)},
        {"ends_at": dt.datetime(1, 1, 2, tzinfo=dt.UTC)},
    ],
)
def test_a_row_that_nobody_expected_bars_no_other(columns: dict[str, Any]) -> None:
    strange, other = due("strange", ago=2 * HOUR), due("other")
    Row.objects.filter(pk=strange.pk).update(**columns)
    firing.fire_due(lambda what, error: None)
    assert ticks(other) == [FIRED]
    assert sync.realign() <= 2
    assert sync.look_at_held() <= 1


def test_times_that_cannot_be_planned_are_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    row, other, told = due("a"), due("b"), []
    monkeypatch.setattr(firing, "plan", lambda one, at: 1 / 0 if one.pk == row.pk else plan(one, at))
    firing.fire_due(lambda what, error: told.append(what))
    assert told == ["times of a schedule"]
    assert ticks(other) == [FIRED]
    assert (again(row).held, again(row).next_at) == ("ZeroDivisionError: division by zero", row.next_at)
    assert again(row).fire_at is not None


def test_an_error_that_nobody_expected_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    row, told = due(), []

    def breaks(*args: Any, **options: Any) -> list[uuid.UUID]:
        raise RuntimeError("a middleware's")

    monkeypatch.setattr(firing, "submit_many", breaks)
    assert firing.fire_due(lambda what, error: told.append((what, str(error)))) == 1
    assert told == [("submit of a schedule", "a middleware's")]
    held = again(row)
    assert held.held == "RuntimeError: a middleware's"
    assert held.fire_at is not None
    assert held.fire_at > now()
    monkeypatch.undo()
    Row.objects.update(fire_at=now())
    fire()
    assert (ticks(row)[0][0], again(row).held) == ("fired", "")


def test_a_unique_job_that_is_there_stands_for_its_tick() -> None:
    there = kinds.once.submit(account=1)
    row = due(kind="kinds.once", arguments={"account": 1})
    fire()
    assert [tick.job for tick in Tick.objects.filter(schedule=row)] == [there.pk]
    assert Job.objects.count() == 1


# --- What a handler sees --------------------------------------------------------------------------------------------------


def test_a_handler_knows_the_time_that_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dt.datetime | None] = []
    monkeypatch.setattr(kinds.noop, "handler", lambda **given: seen.append(current_job.scheduled_for))
    row = due()
    fire()
    kinds.noop.submit()
    drain()
    assert seen == [row.next_at, None]
    assert current_job.scheduled_for is None


def test_the_guides_example_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (services.ROOT / "docs/schedules.md").read_text()
    (program,) = re.findall(r"^```python\n(# reports/tasks\.py\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "schedule_of_the_guide.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    name = import_module("schedule_of_the_guide").report.name
    try:
        assert name in sync.sync().added
        row = Row.objects.get(name=name)
        assert (row.timezone, row.arguments, row.held) == ("Europe/Berlin", {"days": 1}, "")
        moment = dt.datetime(2026, 3, 5, 2, 0, tzinfo=dt.UTC)
        Row.objects.update(next_at=moment, fire_at=moment, catch_up_window=1e9, catch_up="all", ends_at=moment)
        fire()
        drain()
        assert Job.objects.get(kind=name).result == "2026-03-04"
    finally:
        _kinds.pop(name)
        current_app.tasks.pop(name)


# --- Declarations ---------------------------------------------------------------------------------------------------------


def nightly(**given: Any) -> Schedule:
    """A declaration of a test."""
    return Schedule(**{"timing": "0 3 * * *", "kind": "kinds.noop", "timezone": "Europe/Berlin", **given})


def declare(settings: Settings, **schedules: Schedule) -> None:
    """In the settings."""
    settings.FURROW = {**settings.FURROW, "SCHEDULES": schedules}


def test_declarations_are_written_down_changed_and_orphaned(settings: Settings) -> None:
    declare(settings, one=nightly(), two=nightly(arguments={}))
    assert str(sync.sync(dry=True)) == "added: one, two"
    assert Row.objects.count() == 0
    assert str(sync.sync()) == "added: one, two"
    assert not sync.sync()
    row = Row.objects.get(name="one")
    assert (row.source, row.timezone, row.held) == ("code", "Europe/Berlin", "")
    assert row.next_at is not None
    assert row.next_at > now()
    declare(settings, one=nightly(timing="30 4 * * *"))
    assert str(sync.sync()) == "changed: one; orphaned: two"
    assert Row.objects.get(name="one").next_at != row.next_at
    two = Row.objects.get(name="two")
    assert two.orphaned_at is not None
    assert two.fire_at is None
    declare(settings, one=nightly(timing="30 4 * * *"), two=nightly())
    assert str(sync.sync()) == "changed: two"
    assert Row.objects.get(name="two").fire_at is not None


def test_a_sync_keeps_pauses_and_times_and_leaves_what_people_made(settings: Settings) -> None:
    declare(settings, one=nightly())
    sync.sync()
    Row.objects.update(paused_at=now(), fire_at=None)
    before = Row.objects.get().next_at
    made = due("two")
    declare(settings, one=nightly(priority=1), two=nightly())
    done = sync.sync()
    assert done.changed == ["one"]
    assert "people made has this name" in done.refused["two"]
    row = Row.objects.get(name="one")
    assert (row.paused_at is not None, row.fire_at, row.next_at) == (True, None, before)
    assert again(made).timing == "* * * * *"


def test_what_a_newer_process_has_declared_an_older_one_that_takes_over_leaves(settings: Settings) -> None:
    old, new = {"one": nightly(), "gone": nightly()}, {"one": nightly(timing="30 4 * * *"), "added": nightly()}
    declare(settings, **old)
    sync.sync(age=7_200)
    declare(settings, **new)
    assert str(sync.sync(age=60)) == "added: added; changed: one; orphaned: gone"
    before = list(Row.objects.order_by("name").values())
    declare(settings, **old)
    assert sync.sync(age=7_300).left == ["one", "gone", "added"]
    assert list(Row.objects.order_by("name").values()) == before
    assert str(sync.sync()) == "changed: one, gone; orphaned: added"  # the old release was started again


def test_a_process_that_declares_the_same_keeps_it_from_older_ones_and_a_clock_that_was_set_back_keeps_nothing(
    settings: Settings,
) -> None:
    declare(settings, one=nightly())
    sync.sync(age=3_600)
    assert not sync.sync(age=60)
    declare(settings)
    assert sync.sync(age=600).left == ["one"]
    Row.objects.update(declared_at=now() + DAY)
    assert sync.sync(age=600).orphaned == ["one"]


def test_jobs_are_submitted_in_the_name_of_who_wrote_the_schedule() -> None:
    users = [User.objects.create(username=name) for name in ("ann", "bob")]
    rows = [due("ann's", submitted_by=users[0]), due("bob's", submitted_by=users[1]), due("the code's")]
    fire()
    found = {again(row).last_job: row.submitted_by_id for row in rows}
    assert dict(Job.objects.values_list("pk", "submitted_by")) == found


def test_kinds_declare_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds.add, "schedules", [nightly(kind="kinds.add", name="sums", arguments={"a": 1, "b": 2})])
    assert sync.sync().added == ["sums"]
    assert Row.objects.get().arguments == {"a": 1, "b": 2}


def test_a_declared_kind_that_is_gone_is_held_and_visible(settings: Settings) -> None:
    declare(settings, one=nightly(kind="kinds.gone"))
    assert sync.sync().added == ["one"]
    assert "There is no kind 'kinds.gone'" in Row.objects.get().held
    assert Row.objects.get().fire_at is None


def refused(a: int, b: int) -> None:
    """A handler."""


@pytest.mark.parametrize(
    ("schedules", "reason"),
    [
        (Schedule("61 * * * *"), "bad minute"),
        (Schedule("@daily", arguments={"b": "x"}), "argument a: is missing"),
        (Schedule("@daily", timezone="Mars/Olympus"), "is no time zone"),
        (Schedule("@daily", catch_up="some"), "must be 'one' or 'all' or 'none'"),
        (Schedule("@daily", kind="other"), "it is this kind's"),
        (Schedule("@daily", kind=7), "must be a text"),  # type: ignore[arg-type]
        ([Schedule("@daily", arguments={"a": 1, "b": 2})] * 2, "give each a name of its own"),
        ("@daily", r"must be a Schedule\(…\)"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_at_import(schedules: Any, reason: str) -> None:
    with pytest.raises(KindError, match=reason):
        job(name="tests.refused", schedule=schedules)(refused)


def test_the_check_names_declarations_that_cannot_submit(settings: Settings) -> None:
    assert check_schedules() == []
    declare(settings, gone=nightly(kind="kinds.gone"), wrong=nightly(queue="nowhere"), right=nightly())
    told = {warning.obj: warning.msg for warning in check_schedules()}
    assert {*told} == {"gone", "wrong"}
    assert "There is no kind 'kinds.gone'" in told["gone"]
    assert "'nowhere' is unknown" in told["wrong"]


def test_people_learn_of_what_cannot_submit() -> None:
    due("it", kind="kinds.gone")
    leadership = Leadership()
    assert leadership.hold()
    Timetable(leadership).run_once()
    troubles.flush(connection)
    assert "it: There is no kind 'kinds.gone'" in Trouble.objects.get(name="schedules that cannot submit").text


def test_a_new_leader_finds_times_that_lie_too_far_ahead() -> None:
    """As after a clock that was a year ahead for a while."""
    far = due("far", next_at=now() + 366 * DAY)
    soon = due("soon", next_at=(now() + MINUTE).replace(second=0, microsecond=0))
    assert sync.realign() == 1
    assert again(far).next_at == again(soon).next_at
    assert new_id() != again(far).last_job
