"""The database's clock is set, back or forward, while everything goes on: what rows say of time is then an hour off.

A step is made by moving the rows' times the other way. ``tests/faults/test_clock_steps.py`` sets the clock of a real server.
"""

import datetime as dt
import time
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.jobs.conf import conf
from apps.jobs.dispatcher.leader import Leadership
from apps.jobs.dispatcher.rescue import Rescue
from apps.jobs.models import Leader, Worker
from apps.jobs.models.job import new_id
from apps.jobs.states import State
from apps.jobs.worker.lease import Lease
from tests.integration.test_statements_workers import DESCRIPTION
from tests.rows import HOUR, lead, make, state_of

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

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
    for judge in ("dispatcher.rescue", "dispatcher.leader", "worker.lease"):
        monkeypatch.setattr(f"apps.jobs.{judge}.time", made)
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
