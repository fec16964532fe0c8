"""The order of the day, on both databases: what is due, who may send it, and what is deleted in the end."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from furrow.dispatcher import prune
from furrow.dispatcher.prune import Prune
from furrow.models import Attempt, DeadMessage, Job, Leader, LogLine, Signal, Step
from furrow.models.job import new_id
from furrow.states import Outcome, State

from tests.rows import HOUR, claim, lead, make, settle, state_of

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


# --- the order of the day -----------------------------------------------------------------------------------------------------


def test_due_is_ordered_by_priority_then_time_then_id(sql: Any) -> None:
    now = timezone.now()
    expected = [
        make(priority=0, run_at=now - dt.timedelta(seconds=1)),
        make(priority=5, run_at=now - 2 * HOUR),
        make(priority=5, run_at=now - HOUR),
        make(priority=5, run_at=now - HOUR),
        make(priority=9, run_at=now - 3 * HOUR),
    ]
    make(priority=0, run_at=now + HOUR)
    make(State.QUEUED)
    make(State.RUNNING)
    make(State.WAITING)
    other = make(queue="other")
    assert sql.due(connection, "default", 100).jobs == [(job.pk, "kinds.add", 0) for job in expected]
    for limit in range(1, 5):
        assert [found.id for found in sql.due(connection, "default", limit).jobs] == [job.pk for job in expected[:limit]]
    assert [found.id for found in sql.due(connection, "other", 5).jobs] == [other.pk]
    assert sql.due(connection, "empty", 5).jobs == []


def test_due_looks_behind_the_position_that_was_reached(sql: Any) -> None:
    """Which is a hint: SQLite, where it brings nothing, begins at the beginning."""
    now = timezone.now()
    early, late = make(run_at=now - HOUR), make(run_at=now - HOUR / 2)
    urgent = make(priority=0)
    first = sql.due(connection, "default", 2)
    assert [found.id for found in first.jobs] == [urgent.pk, early.pk]
    rest = sql.due(connection, "default", 5, first.reached)
    if connection.vendor == "sqlite":
        assert len(rest.jobs) == 3
        return
    assert first.reached[5] == (early.run_at, early.pk)
    assert [found.id for found in rest.jobs] == [late.pk]
    # With nothing left everything up to now lies behind; what is due later does not.
    assert rest.reached[0][0] == rest.reached[9][0] >= now
    later = make(run_at=timezone.now() + HOUR)
    make(run_at=now - HOUR)
    assert 3500 < sql.seconds_until_due(connection, "default", rest.reached) <= 3600
    Job.objects.filter(pk=later.pk).update(run_at=rest.reached[9][0] + dt.timedelta(microseconds=1))
    assert [found.id for found in sql.due(connection, "default", 5, rest.reached).jobs] == [later.pk]


def test_the_seconds_until_the_next_is_due(sql: Any) -> None:
    assert sql.seconds_until_due(connection, "default") is None
    make(queue="elsewhere")
    assert sql.seconds_until_due(connection, "default") is None
    make(run_at=timezone.now() + 2 * HOUR)
    make(priority=9, run_at=timezone.now() + HOUR)
    assert 3500 < sql.seconds_until_due(connection, "default") <= 3600
    make(run_at=timezone.now() - dt.timedelta(seconds=5))
    assert -60 < sql.seconds_until_due(connection, "default") < -4


def test_the_window(sql: Any) -> None:
    assert sql.window(connection, "default")[:2] == (0, 0.0)
    make(State.QUEUED, queued_at=timezone.now() - dt.timedelta(seconds=30))
    newer = make(State.QUEUED)
    make(State.QUEUED, queue="other", queued_at=timezone.now() - HOUR)
    make()
    held = sql.window(connection, "default")
    assert held.queued == 2
    assert 29 < held.oldest_age < 60
    if connection.vendor == "postgresql":
        assert sql.window(connection, "default", held.oldest).queued == 2
        assert sql.window(connection, "default", newer.queued_at).queued == 1


def test_mark_queued_is_guarded_by_the_term_and_the_time(sql: Any) -> None:
    job, future, term = make(), make(run_at=timezone.now() + HOUR), lead()
    assert term is not None
    for wrong in (term - 1, term + 1):
        assert sql.mark_queued(connection, {job.pk: 0, future.pk: 0}, wrong) == 0
    assert sql.mark_queued(connection, {job.pk: 0, future.pk: 0, new_id(): 0}, term) == 1
    job.refresh_from_db()
    assert (job.state, job.queued_at is not None, state_of(future)) == (State.QUEUED, True, State.PENDING)


def test_nothing_is_marked_without_a_leader(sql: Any) -> None:
    assert sql.mark_queued(connection, {make().pk: 0}, 0) == 0


def test_a_job_that_began_since_it_was_sent_is_not_marked_queued(sql: Any) -> None:
    """Its message is gone: a worker claimed it, and it is pending again."""
    fresh, tried, term = make(), make(attempt=3), lead()
    sent = {job.id: job.attempt for job in sql.due(connection, "default", 5).jobs}
    claim(fresh, tried)
    for job, attempt in ((fresh, 1), (tried, 4)):
        assert settle(job, State.PENDING, Outcome.FAILED, attempt=attempt, delay=0.0)
    assert sql.mark_queued(connection, sent, term) == 0
    assert {state_of(fresh), state_of(tried)} == {State.PENDING}
    assert sql.mark_queued(connection, {job.id: job.attempt for job in sql.due(connection, "default", 5).jobs}, term) == 2


def test_a_round_of_pruning_is_bounded_and_the_next_ones_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job may have millions of log lines: after a batch that took long the next one is smaller."""
    long_ago = timezone.now() - 1000 * HOUR
    for _ in range(10):
        make(State.SUCCEEDED, finished_at=long_ago)
        DeadMessage.objects.create(reason="r", received_at=long_ago, size=0)
    monkeypatch.setattr(prune, "FIRST", 6)
    monkeypatch.setattr(prune, "BATCH", 6)
    monkeypatch.setattr(prune, "ROUND", -1.0)  # whatever it takes is too long
    duty = Prune()
    left: list[tuple[int, int]] = []
    while not left or left[-1] != (0, 0):
        duty.run_once()
        left.append((Job.objects.count(), DeadMessage.objects.count()))
    assert left == [(4, 4), (3, 0), (2, 0), (1, 0), (0, 0)]


def test_prune_deletes_what_ended_long_ago_with_all_that_belongs_to_it(settings: Any) -> None:
    settings.FURROW = {**settings.FURROW, "KEEP_SUCCEEDED": 3600.0, "KEEP_FAILED": 7200.0}
    ago = timezone.now() - 1.5 * HOUR
    old = [make(State.SUCCEEDED, finished_at=ago) for _ in range(3)]
    kept = [
        *(make(State.SUCCEEDED), make(State.FAILED, finished_at=ago), make(State.CANCELLED, finished_at=ago)),
        *(make(created_at=ago), make(State.RUNNING, started_at=ago)),
    ]
    for job in (*old, *kept):
        Attempt.objects.create(job=job, number=1, outcome=Outcome.SUCCEEDED, started_at=ago, finished_at=ago)
        LogLine.objects.create(job=job, attempt=1, at=ago, level=20, message="m")
        Step.objects.create(job=job, name="s", sort="step", position=1, attempt=1, started_at=ago)
        Signal.objects.create(target=job.pk, name="s")
    assert Prune().run_once() == 3
    assert set(Signal.objects.values_list("target", flat=True)) == {job.pk for job in kept}
    for model in (Attempt, LogLine, Step):  # in no order: that of attempts joins their jobs, and hides those that have none
        assert set(model.objects.order_by().values_list("job_id", flat=True)) == {job.pk for job in kept}
    assert set(Job.objects.values_list("pk", flat=True)) == {job.pk for job in kept}
    settings.FURROW = {**settings.FURROW, "KEEP_SUCCEEDED": 0.0, "KEEP_FAILED": 0.0}
    assert Prune().run_once() == 3
    assert Prune().run_once() == 0


def test_prune_deletes_old_signals_of_no_job() -> None:
    gone, kept = new_id(), make(created_at=timezone.now() - 1000 * HOUR)
    for target in (gone, kept.pk):
        Signal.objects.create(target=target, name="early")
    Prune().run_once()
    assert Signal.objects.count() == 2
    Signal.objects.update(sent_at=timezone.now() - 1000 * HOUR)
    Prune().run_once()
    assert list(Signal.objects.values_list("target", flat=True)) == [kept.pk]


# --- who leads ----------------------------------------------------------------------------------------------------------------


def test_one_leads_and_keeps_its_term() -> None:
    assert lead("one") == 1
    assert lead("two") is None
    assert [lead("one"), lead("one")] == [1, 1]
    assert Leader.objects.get().holder == "one"


def test_another_takes_over_once_the_lease_is_over_and_the_term_grows() -> None:
    assert lead("one") == 1
    Leader.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert lead("two") == 2
    assert lead("one") is None
    assert Leader.objects.get().holder == "two"


def test_a_leader_that_slept_through_its_lease_gets_a_new_term() -> None:
    assert lead("one") == 1
    Leader.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert lead("one") == 2


def test_roles_are_apart(sql: Any) -> None:
    assert lead("one") == 1
    assert sql.lead(connection, "schedules", "two", 60) == 1
