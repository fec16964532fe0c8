"""The database's clock is set, back or forward, while everything goes on: what rows say of time is then an hour off.

A step is made by moving the rows' times the other way. ``tests/faults/test_clock_steps.py`` sets the clock of a real server.
"""

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from furrow import submit
from furrow.conf import conf
from furrow.diagnosis.drift import CLOCK_SET_BACK, CLOCK_SET_FORWARD
from furrow.diagnosis.explain import situation
from furrow.dispatcher.clock import Clock
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.prune import Prune
from furrow.dispatcher.reconcile import Reconcile
from furrow.dispatcher.rescue import Rescue
from furrow.errors import OptionError
from furrow.models import Attempt, Drift, Hold, Job, Leader, Queue, Step, Worker
from furrow.models.job import new_id
from furrow.models.step import SPAN
from furrow.rabbitmq.broker import Held
from furrow.statements import clock
from furrow.states import Outcome, State
from furrow.worker.ledger.lease import Lease

from tests import kinds
from tests.integration.test_statements_workers import DESCRIPTION
from tests.rows import HOUR, claim, everything_runs, lead, make, state_of

pytestmark = [
    *(pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")),
    pytest.mark.filterwarnings("ignore:No directory at"),
]

#: By how much rows' times are moved: into the future when the clock was set back.
BACK, FORWARD = HOUR, -HOUR


class Monotonic:
    """A monotonic clock that a test moves on."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    """The monotonic clock of those that judge leases."""
    made = Monotonic()
    for judge in ("dispatcher.rescue", "dispatcher.leader", "worker.ledger.lease"):
        monkeypatch.setattr(f"furrow.{judge}.time", made)
    return made


def worker(sql: Any, lease: float) -> Worker:
    """One that has just registered."""
    id = new_id()
    sql.register_worker(connection, id, lease, DESCRIPTION)
    return Worker.objects.get(pk=id)


def move(by: dt.timedelta) -> None:
    """Move what the rows say of leases."""
    Worker.objects.update(heartbeat_at=F("heartbeat_at") + by, lease_until=F("lease_until") + by)
    Leader.objects.update(lease_until=F("lease_until") + by)


# --- what is due, sent and held ---


class Shifted:
    """The database's clock as the dispatcher reads it; a test sets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sql: Any) -> None:
        self.ahead = dt.timedelta()
        right = sql.clock
        monkeypatch.setattr(sql, "clock", lambda link: right(link) + self.ahead)


@pytest.fixture
def watch(sql: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Clock, Shifted]:
    """A duty that has looked at a clock that is an hour ahead of what rows that are made now have."""
    shifted = Shifted(monkeypatch, sql)
    shifted.ahead = HOUR
    watching = Clock()
    assert watching.run_once() == 0
    Drift.objects.update(looked_at=timezone.now())
    return watching, shifted


def ahead(state: State = State.PENDING, **columns: Any) -> Job:
    """A job that was submitted, and due, just before the clock was set back by an hour."""
    then = timezone.now() + HOUR - dt.timedelta(seconds=2)
    return make(state, **{"created_at": then, "run_at": then, **columns})


def found(name: str) -> int:
    """The step that people are shown."""
    return Drift.objects.filter(name=name).values_list("found", flat=True).first() or 0


def test_what_was_due_sent_or_began_goes_on_when_the_clock_is_set_back(sql: Any, watch: tuple[Clock, Shifted]) -> None:
    watching, shifted = watch
    soon = timezone.now() + HOUR
    due, held = ahead(), ahead(held="lock:a", limits=[{"key": "lock:a", "slots": 1}])
    sent, runs = ahead(State.QUEUED, queued_at=soon), ahead(State.RUNNING, started_at=soon)
    waits = ahead(attempt=1, run_at=soon + dt.timedelta(minutes=5))
    Attempt.objects.create(job=waits, number=1, outcome=Outcome.FAILED, started_at=soon, finished_at=soon)
    later = ahead(run_at=timezone.now() + 2 * HOUR)
    new = make(run_at=timezone.now() + HOUR / 2)  # after the step
    was = {job.pk: job.run_at for job in (later, new)}
    assert sql.due(connection, "default", 9).jobs == []
    assert claim(sent) == [sent.pk]  # a message is enough
    Job.objects.filter(pk=sent.pk).update(state=State.QUEUED, attempt=0)
    shifted.ahead = dt.timedelta()
    assert watching.run_once() == 5
    now = timezone.now()
    rows: dict[Any, Any] = {job.pk: job for job in Job.objects.all()}
    assert [id for id, *_ in sql.due(connection, "default", 9).jobs] == [due.pk]
    assert max(rows[job.pk].run_at for job in (due, held, sent, runs)) <= now
    assert rows[sent.pk].queued_at <= now
    assert rows[runs.pk].started_at <= now
    assert 290 < (rows[waits.pk].run_at - now).total_seconds() < 310
    assert {id: rows[id].run_at for id in was} == was
    assert 3590 < found(CLOCK_SET_BACK) < 3610
    assert watching.run_once() == 0
    late = ahead()  # committed only now
    assert watching.run_once() == 1
    assert [id for id, *_ in sql.due(connection, "default", 9).jobs] == [due.pk, late.pk]


def test_a_sleep_keeps_its_length_and_one_that_was_over_is_over_when_the_clock_is_set_back(
    sql: Any, watch: tuple[Clock, Shifted]
) -> None:
    watching, shifted = watch
    now, minutes = timezone.now(), dt.timedelta(minutes=5)
    soon, past = now + HOUR, now + HOUR - dt.timedelta(seconds=2)

    def waits(name: str, until: dt.datetime, began: dt.datetime = past, **more: Any) -> Step:
        job = ahead(attempt=1, run_at=until)
        Attempt.objects.create(job=job, number=1, outcome=Outcome.SNOOZED, started_at=began, finished_at=began)
        return Step.objects.create(job=job, name=name, position=1, attempt=1, started_at=began, until=until, **more)

    span = waits("span", soon + minutes, sort="sleep", awaits=SPAN)
    signal = waits("signal", soon + minutes, sort="signal", awaits="paid")
    moment = waits("moment", soon + minutes, sort="sleep")
    over = waits("over", past, now - HOUR, sort="sleep")
    long_ago = waits("long ago", soon + minutes, now - HOUR, sort="sleep", awaits=SPAN)
    shifted.ahead = dt.timedelta()
    watching.run_once()
    ends = {step.name: round((step.until - now).total_seconds() / 60) for step in Step.objects.all() if step.until}
    assert ends == {"span": 5, "signal": 5, "moment": 65, "over": 0, "long ago": 65}
    for step in (span, signal, over, long_ago):
        step.refresh_from_db()
        assert step.until is not None
        assert abs(step.until - Job.objects.get(pk=step.job_id).run_at) < dt.timedelta(seconds=30)
    assert moment.until == Step.objects.get(pk=moment.pk).until


@pytest.mark.parametrize("committed", [False, True])
def test_a_step_is_put_right_once_though_the_connection_was_cut(
    sql: Any, watch: tuple[Clock, Shifted], monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    watching, shifted = watch
    soon = timezone.now() + HOUR
    Drift.objects.update(looked_at=soon)
    waits = ahead(attempt=1, run_at=soon + dt.timedelta(minutes=5))
    Attempt.objects.create(job=waits, number=1, outcome=Outcome.FAILED, started_at=soon, finished_at=soon)
    sent = ahead(State.QUEUED, queued_at=soon)
    shifted.ahead = dt.timedelta()

    @contextmanager
    def cut() -> Iterator[None]:
        with transaction.atomic():
            yield
            if not committed:
                raise OperationalError("server closed the connection unexpectedly")
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr("furrow.dispatcher.clock.atomic", cut)
        with pytest.raises(OperationalError):
            watching.run_once()
    for _ in range(2):
        watching.run_once()
    now = timezone.now()
    rows: dict[Any, Any] = {job.pk: job for job in Job.objects.all()}
    assert 290 < (rows[waits.pk].run_at - now).total_seconds() < 310
    assert max(rows[sent.pk].run_at, rows[sent.pk].queued_at) <= now
    assert 3590 < found(CLOCK_SET_BACK) < 3610


def test_many_are_made_due_over_several_looks(sql: Any, watch: tuple[Clock, Shifted], monkeypatch: pytest.MonkeyPatch) -> None:
    watching, shifted = watch
    monkeypatch.setattr("furrow.dispatcher.clock.BATCH", 3)
    monkeypatch.setattr("furrow.dispatcher.clock.ROUND", 0.0)
    for _ in range(7):
        ahead()
    shifted.ahead = dt.timedelta()
    assert [watching.run_once() for _ in range(4)] == [3, 3, 1, 0]


def test_slots_pauses_and_unique_periods_are_not_prolonged(sql: Any, watch: tuple[Clock, Shifted]) -> None:
    watching, shifted = watch
    now = timezone.now()
    Hold.objects.create(key="rate:a", slot=0, period=60.0, free_at=now + HOUR)
    Hold.objects.create(key="rate:a", slot=1, period=60.0, free_at=now + HOUR / 120)
    Queue.objects.create(name="other", paused_at=now + HOUR)
    one = ahead(State.SUCCEEDED, unique_key="k", unique_until="time", unique_expires_at=now + HOUR + dt.timedelta(seconds=90))
    shifted.ahead = dt.timedelta()
    try:
        assert watching.run_once() == 3
        ends = Hold.objects.order_by("slot").values_list("free_at", flat=True)
        assert [round((end - now).total_seconds(), -1) for end in ends if end] == [60, 30]
        until: Any = Job.objects.get(pk=one.pk).unique_expires_at
        assert 80 < (until - now).total_seconds() < 100
        paused_at: Any = Queue.objects.get().paused_at
        assert paused_at <= timezone.now()
    finally:
        Queue.objects.all().delete()


def test_who_leads_next_finds_out_by_the_mark_of_the_last(sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Clock()
    assert first.run_once() == 0
    Drift.objects.update(looked_at=timezone.now() + HOUR)  # set back since
    then = timezone.now() + HOUR + dt.timedelta(minutes=5)
    jobs = [ahead(), ahead(created_at=then, run_at=then)]  # the other one after the mark
    assert Clock().run_once() == 2
    assert set(claim(*jobs)) == {job.pk for job in jobs}
    assert 3590 < found(CLOCK_SET_BACK) < 3610


def test_a_clock_that_is_set_forward_is_told_and_nothing_is_pruned(
    sql: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.FURROW = {**settings.FURROW, "KEEP_SUCCEEDED": 0.0}
    shifted, watching = Shifted(monkeypatch, sql), Clock()
    prune = Prune(watching)
    watching.run_once()
    shifted.ahead = HOUR
    ended, scheduled = make(State.SUCCEEDED, finished_at=timezone.now() - HOUR), make(run_at=timezone.now() + HOUR)
    assert watching.run_once() == 0
    assert 3590 < found(CLOCK_SET_FORWARD) < 3610
    assert prune.run_once() == 0
    assert {state_of(ended), state_of(scheduled)} == {State.SUCCEEDED, State.PENDING}
    monkeypatch.setattr(watching, "_leapt_at", watching._leapt_at - 2 * 3600)
    assert prune.run_once() == 1


def test_a_small_difference_is_no_step(sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shifted, watching = Shifted(monkeypatch, sql), Clock()
    for seconds in (0, 4, 0, -4, 0):
        shifted.ahead = dt.timedelta(seconds=seconds)
        watching.run_once()
    assert found(CLOCK_SET_BACK) == found(CLOCK_SET_FORWARD) == 0


def test_the_dispatchers_own_clock_has_no_part_in_it(sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("its clock is the process's")
    right = timezone.now
    monkeypatch.setattr("django.utils.timezone.now", lambda: right() - 10 * HOUR)
    make(State.QUEUED, queued_at=right() - dt.timedelta(minutes=5))
    assert Reconcile(Empty(), [])._queue("default") == (1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("off", [BACK, FORWARD])
def test_the_clock_of_the_web_server_has_no_part_in_it(
    sql: Any, monkeypatch: pytest.MonkeyPatch, site: Client, off: dt.timedelta
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("its clock is the process's")
    everything_runs()
    Leader.objects.update(lease_until=timezone.now() + HOUR / 60)
    Worker.objects.update(lease_until=timezone.now() + HOUR / 60)
    job, late = make(run_at=timezone.now() + HOUR / 60), timezone.now() + HOUR / 60
    right = timezone.now
    monkeypatch.setattr("django.utils.timezone.now", lambda: right() + off)
    page = site.get(reverse("admin:index")).content.decode()
    assert "No dispatcher is running" not in page
    assert "No worker is running" not in page
    around = situation(job, clock.now())
    assert (around.dispatcher_leads, around.consumers) == (True, 1)
    if off == FORWARD:  # whose clock is behind
        with pytest.raises(OptionError):
            submit(kinds.add, {"a": 1}, expires=late - HOUR / 30)
    else:
        submit(kinds.add, {"a": 1}, expires=late)


class Empty:
    """RabbitMQ, with no message."""

    def holdings(self, queue: str) -> dict[str, Held]:
        return {queue: Held(messages=0, consumers=0)}


# --- leases ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [BACK, FORWARD])
def test_a_step_ends_no_lease_and_prolongs_none(sql: Any, elapsed: Monotonic, step: dt.timedelta) -> None:
    rescue, dead, living = Rescue(), worker(sql, 6), worker(sql, 6)
    mine, other = (make(State.RUNNING, worker=each.pk) for each in (dead, living))
    rescue.run_once()
    move(step)
    for _ in range(4):
        assert sql.renew(connection, living.pk, 6)
        rescue.run_once()
        assert (state_of(mine), state_of(other)) == (State.RUNNING, State.RUNNING)
        elapsed.now += 1.9
    assert sql.renew(connection, living.pk, 6)
    assert rescue.run_once() == 1
    assert (state_of(mine), state_of(other)) == (State.PENDING, State.RUNNING)
    assert dict(Worker.objects.values_list("pk", "lost")) == {dead.pk: True, living.pk: False}


def test_the_length_of_a_lease_is_its_workers(sql: Any, elapsed: Monotonic) -> None:
    rescue, short, long = Rescue(), worker(sql, 2), worker(sql, 8)
    for worker_lost in (False, True, True, True):
        rescue.run_once()
        assert dict(Worker.objects.values_list("pk", "lost")) == {short.pk: worker_lost, long.pk: False}
        elapsed.now += 2.1
    rescue.run_once()
    assert Worker.objects.get(pk=long.pk).lost


def test_after_an_outage_everyone_gets_a_full_lease(sql: Any, elapsed: Monotonic) -> None:
    rescue, one = Rescue(), worker(sql, 6)
    rescue.run_once()
    elapsed.now += 60
    rescue.run_once()
    assert not Worker.objects.get(pk=one.pk).lost


def test_a_worker_that_renews_while_it_is_judged_lives(sql: Any, elapsed: Monotonic) -> None:
    rescue, one = Rescue(), worker(sql, 2)
    rescue.run_once()
    elapsed.now += 2.1
    over = rescue._look(elapsed.now)
    assert sql.renew(connection, one.pk, 2)
    assert list(over) == [one.pk]
    assert rescue._bury(over) == 0
    assert not Worker.objects.get(pk=one.pk).lost


@pytest.mark.parametrize("step", [BACK, FORWARD])
def test_a_worker_keeps_its_lease_over_a_step_and_knows_itself_when_it_is_late(elapsed: Monotonic, step: dt.timedelta) -> None:
    lease = Lease("w@here", lambda: {key: DESCRIPTION[key] for key in ("host", "version", "queues", "kinds")})
    assert lease.renew(connection)
    move(step)
    elapsed.now += conf().worker_lease / 2
    assert lease.renew(connection)
    first = lease.worker
    elapsed.now += conf().worker_lease
    assert not lease.renew(connection)
    assert lease.worker != first


def test_a_standby_leads_after_a_lease_though_the_clock_was_set_back(elapsed: Monotonic) -> None:
    assert lead("gone") == 1
    move(BACK)
    standby = Leadership()
    assert not standby.hold()
    elapsed.now += conf().leader_lease + 1
    assert standby.hold()
    assert standby.term == 2


def test_a_standby_waits_for_a_leader_that_renews(elapsed: Monotonic) -> None:
    assert lead("there") == 1
    standby = Leadership()
    for _ in range(4):
        assert not standby.hold()
        elapsed.now += conf().leader_lease / 2
        move(BACK / 3600)
    Leader.objects.update(lease_until=timezone.now() - HOUR)
    assert standby.hold()
