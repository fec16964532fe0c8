"""The SQL of limits on both databases: who takes a slot, when it is given back, and who goes next."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from furrow import statements
from furrow.dispatcher.admission import Admission
from furrow.limits.limit import Limit, row, to_json
from furrow.limits.stored import read
from furrow.models import Hold, Job, Leader
from furrow.models.job import new_id
from furrow.statements import Group, Settlement
from furrow.states import Outcome, State

from tests.races import together
from tests.rows import WORKER, lead, make

pytestmark = pytest.mark.engine

LOCK = Limit("lock:a")


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest) -> Iterator[None]:
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    Leader.objects.all().delete()
    Hold.objects.all().delete()
    yield
    Hold.objects.all().delete()


def limited(*limits: Limit, state: State = State.PENDING, fair: str | None = None, **columns: Any) -> Job:
    """A job with these limits."""
    its = row(limits, fair)
    return make(state, **{**its, "limits": json.loads(its["limits"]), **columns})


def admit(*jobs: Job) -> list[Job]:
    """Those that got all their slots."""
    sql = statements.on(connection)
    term = lead()
    assert term is not None
    found = [c for c in sql.candidates(connection, "default", 1000) if not jobs or c.id in {job.pk for job in jobs}]
    sent = {job.id for job in Admission().admit(found, lambda candidate: read(candidate.limits), term)}
    return list(Job.objects.filter(pk__in=sent).order_by("pk"))


def run(job: Job) -> Job:
    """Claimed, if it may be."""
    with transaction.atomic():
        statements.on(connection).claim(connection, WORKER, [str(job.pk)])
    job.refresh_from_db()
    return job


def end(job: Job, state: State = State.SUCCEEDED, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> None:
    """Settled through a worker's group commit."""
    given = Settlement(str(job.pk), job.attempt, state, outcome, **fields)
    statements.on(connection).write(connection, WORKER, Group(settlements=[given], limited=[str(job.pk)]))


def held() -> dict[uuid.UUID, str]:
    """Jobs that wait for a key."""
    return dict(Job.objects.exclude(held="").values_list("pk", "held"))


def test_a_lock_goes_from_job_to_job() -> None:
    first, second, third = (limited(LOCK) for _ in range(3))
    assert admit() == [first]
    assert held() == {second.pk: "lock:a", third.pk: "lock:a"}
    assert admit() == [first]  # it has its slot already
    assert run(first).state == State.RUNNING
    assert Hold.objects.get().job == first.pk
    end(first)
    assert not Hold.objects.exists()
    assert held() == {third.pk: "lock:a"}
    assert admit() == [second]


# --- limits of several, rates, order ------------------------------------------------------------------------------------------


def test_never_more_than_its_slots_and_each_end_lets_one_go() -> None:
    limit = Limit("limit:t", 3)
    jobs = [limited(limit) for _ in range(7)]
    assert admit() == jobs[:3]
    assert len(held()) == 4
    for job in jobs[:3]:
        assert run(job).state == State.RUNNING
    end(jobs[1])
    assert set(held()) == {job.pk for job in jobs[4:]}
    assert admit() == [jobs[3]]
    assert sorted(Hold.objects.values_list("slot", flat=True)) == [0, 1, 2]


def test_all_slots_or_none() -> None:
    other = Limit("limit:b", 2)
    holder, both, alone = limited(LOCK), limited(LOCK, other), limited(other)
    assert admit() == [holder, alone]
    assert held() == {both.pk: "lock:a"}
    assert set(Hold.objects.values_list("key", "job")) == {("lock:a", holder.pk), ("limit:b", alone.pk)}


def test_a_claim_needs_every_slot(sql: Any) -> None:
    job, plain = limited(LOCK, Limit("limit:b", 2)), limited()
    assert run(job).state == State.PENDING
    Hold.objects.create(key="lock:a", slot=0, job=job.pk)
    assert run(job).state == State.PENDING
    Hold.objects.create(key="limit:b", slot=1, job=new_id())
    assert run(job).state == State.PENDING
    Hold.objects.create(key="limit:b", slot=0, job=job.pk)
    assert run(job).state == State.RUNNING
    assert run(plain).state == State.RUNNING


def test_the_primary_key_has_the_last_word(sql: Any) -> None:
    sql.take(connection, [("lock:a", 0, new_id(), None, False)])
    with pytest.raises(IntegrityError), transaction.atomic():
        sql.take(connection, [("lock:a", 0, new_id(), None, False)])


def test_only_the_leader_takes_slots(sql: Any) -> None:
    limited(LOCK)
    term = lead()
    assert term is not None
    found = sql.candidates(connection, "default", 10)
    assert Admission().admit(found, lambda candidate: read(candidate.limits), term - 1) == []
    assert not Hold.objects.exists()
    assert not held()


@pytest.mark.parametrize(
    ("state", "outcome", "kept"),
    [
        (State.SUCCEEDED, Outcome.SUCCEEDED, set()),
        (State.FAILED, Outcome.FAILED, set()),
        (State.CANCELLED, Outcome.CANCELLED, set()),
        (State.PENDING, Outcome.FAILED, {"order:o"}),
        (State.PENDING, Outcome.SNOOZED, {"order:o"}),
        (State.PENDING, Outcome.INTERRUPTED, {"order:o", "lock:a"}),
    ],
)
def test_what_a_run_gives_back(state: State, outcome: Outcome, kept: set[str]) -> None:
    job = limited(LOCK, Limit("order:o", ordered=True))
    other = limited(LOCK)
    assert admit() == [job]
    end(run(job), state, outcome, delay=0.0 if state is State.PENDING else None)
    assert set(Hold.objects.filter(job=job.pk).values_list("key", flat=True)) == kept
    assert (other.pk in held()) == ("lock:a" in kept)


def test_a_settlement_that_comes_too_late_gives_nothing_back() -> None:
    job, other = limited(LOCK), limited(LOCK)
    admit()
    run(job)
    stale = Job(pk=job.pk, attempt=7)
    end(stale)
    assert Hold.objects.get().job == job.pk
    assert held() == {other.pk: "lock:a"}


def test_a_rates_slot_is_taken_for_its_period_from_the_start(sql: Any) -> None:
    rate = Limit("rate:r", 2, 60.0)
    first, second, third = (limited(rate) for _ in range(3))
    assert admit() == [first, second]
    assert run(first).state == State.RUNNING
    run(second)
    began = timezone.now() - dt.timedelta(seconds=20)
    sql.write(connection, WORKER, Group(begun=[(str(first.pk), 1, began.timestamp()), (str(second.pk), 99, began.timestamp())]))
    Job.objects.filter(pk=first.pk).update(started_at=began)
    free_at: dict[Any, Any] = dict(Hold.objects.values_list("job", "free_at"))
    assert abs((free_at[first.pk] - began).total_seconds() - 60) < 2
    assert free_at[second.pk] is None, "that attempt is not the one that runs"
    end(first)
    end(second)
    late: list[Any] = [hold.free_at for hold in Hold.objects.filter(job=None).order_by("free_at")]
    assert [round((moment - timezone.now()).total_seconds() / 20) for moment in late] == [2, 3]
    assert held() == {third.pk: "rate:r"}
    assert sql.release(connection, ["rate:r"]) == 0
    Hold.objects.filter(free_at=late[0]).update(free_at=timezone.now())
    assert sql.release(connection, ["rate:r"]) == 1
    assert admit() == [third]
    assert Hold.objects.count() == 2


def test_a_rates_slot_is_taken_early_by_a_job_that_begins_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "EARLY", 30.0)
    rate = Limit("rate:r", 2, 100.0)
    jobs = [limited(rate) for _ in range(4)]
    for job in admit():
        run(job)
        end(job)
    soon, later = (timezone.now() + dt.timedelta(seconds=seconds) for seconds in (25, 60))
    Hold.objects.filter(slot=0).update(free_at=later)
    Hold.objects.filter(slot=1).update(free_at=soon)
    Job.objects.update(held="")
    assert admit() == [jobs[2]], "of two slots one is free soon"
    hold = Hold.objects.get(job=jobs[2].pk)
    assert (hold.slot, hold.not_before, hold.free_at) == (1, soon, None)
    with transaction.atomic():
        (claimed,) = statements.on(connection).claim(connection, WORKER, [str(jobs[2].pk)])
    assert claimed.wait == 0.25, "as long as it can be, whatever the clock was set to"
    assert held() == {jobs[3].pk: "rate:r"}


def test_a_rates_slot_is_not_taken_early_while_its_run_goes_on_or_its_start_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statements, "EARLY", 30.0)
    rate = Limit("rate:r", 2, 100.0)
    first, _, third = (limited(rate) for _ in range(3))
    assert len(admit()) == 2
    run(first)
    Hold.objects.filter(job=first.pk).update(free_at=timezone.now() + dt.timedelta(seconds=25))
    Job.objects.filter(pk=third.pk).update(held="")
    assert admit(third) == []
    assert held() == {third.pk: "rate:r"}


def test_a_taken_slot_of_a_rate_is_refused_to_others() -> None:
    rate = Limit("rate:r", 1, 60.0)
    first, second = limited(rate), limited(rate)
    assert admit(first) == [first]
    with pytest.raises(IntegrityError), transaction.atomic():
        statements.on(connection).take(connection, [("rate:r", 0, second.pk, 60.0, False)])


def test_the_runs_own_start_counts_where_it_came_after_the_reported_one() -> None:
    job = limited(Limit("rate:r", 1, 60.0))
    admit()
    run(job)
    sql, now = statements.on(connection), timezone.now()
    sql.write(connection, WORKER, Group(begun=[(str(job.pk), 1, now.timestamp() - 5)]))
    end(job, started=now.timestamp())
    free_at = Hold.objects.get().free_at
    assert free_at is not None
    assert free_at >= now + dt.timedelta(seconds=60)


def test_in_the_order_of_their_ids_until_they_are_over() -> None:
    order = Limit("order:o", ordered=True)
    first, second, third = (limited(order) for _ in range(3))
    Job.objects.filter(pk=third.pk).update(priority=0)
    assert admit() == [first]
    end(run(first), State.PENDING, Outcome.FAILED, delay=0.0)
    assert admit() == [first]
    end(run(first), State.FAILED, Outcome.FAILED)
    assert held() == {third.pk: "order:o"}
    assert admit() == [second]
    assert run(second).state == State.RUNNING


def test_what_is_due_later_keeps_those_behind_it_waiting(sql: Any) -> None:
    order = Limit("order:o", ordered=True)
    later, after = limited(order, run_at=timezone.now() + dt.timedelta(hours=1)), limited(order)
    assert admit() == []
    assert held() == {after.pk: "order:o"}
    assert sql.release(connection) == 0
    Job.objects.filter(pk=later.pk).update(state=State.CANCELLED, finished_at=timezone.now())
    assert sql.release(connection) == 1
    assert admit() == [after]


# --- what did not end by a settlement -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancelled", "deleted", "put off"])
def test_the_sweep_finds_what_went_another_way(how: str, sql: Any) -> None:
    job, other = limited(LOCK), limited(LOCK)
    admit()
    assert (sql.sweep(connection), sql.release(connection)) == (0, 0)
    gone = Job.objects.filter(pk=job.pk)
    if how == "cancelled":
        gone.update(state=State.CANCELLED, finished_at=timezone.now())
    elif how == "deleted":
        gone.delete()
    else:
        gone.update(run_at=timezone.now() + dt.timedelta(hours=1))
    assert (sql.sweep(connection), sql.release(connection)) == (1, 1)
    assert other in admit()


def test_many_keys_are_released_at_once(sql: Any) -> None:
    holders = [limited(Limit(f"lock:{n}")) for n in range(5)]
    waiting = [limited(Limit(f"lock:{n % 5}")) for n in range(15)]
    assert admit() == holders
    assert len(held()) == 15
    Hold.objects.filter(key__in=["lock:0", "lock:3"]).delete()
    assert sql.release(connection) == 2
    assert not {waiting[0].pk, waiting[3].pk} & held().keys()


# --- races, on connections of their own ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("committed")
def test_ends_and_admissions_at_once_lose_nobody(sql: Any) -> None:
    """Whoever waits when the last slot is given back is let go, whatever happens at the same moment."""
    for _ in range(10):
        holder = limited(LOCK)
        assert admit() == [holder]
        run(holder)
        waiting = [limited(LOCK) for _ in range(3)]
        together(partial(end, holder), partial(admit), partial(admit))
        left = [job for job in waiting if job.pk not in held()]
        assert left, "all wait for a lock that is free"
        for job in admit():
            end(run(job))
        for _ in waiting:
            for one in admit():
                end(run(one))
        assert not Job.objects.filter(pk__in=[job.pk for job in waiting]).exclude(state=State.SUCCEEDED).exists()
        Hold.objects.all().delete()


@pytest.mark.usefixtures("committed")
def test_of_many_admissions_of_one_slot_one_wins() -> None:
    lead()
    for _ in range(5):
        jobs = [limited(LOCK) for _ in range(4)]
        together(*[partial(admit, job) for job in jobs])
        assert Hold.objects.filter(key="lock:a").count() == 1
        Hold.objects.all().delete()
        Job.objects.all().delete()


def test_limits_in_json() -> None:
    limits = [LOCK, Limit("limit:t", 5, conflict="drop"), Limit("rate:r", 2, 60.0), Limit("order:ü", ordered=True)]
    assert read(to_json(limits)) == limits
