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
from furrow.actions.jobs import change_queue
from furrow.diagnosis.blockers import blocker
from furrow.diagnosis.explain import Situation, why
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.turns import Turns
from furrow.limits.limit import Limit, row, to_json
from furrow.limits.stored import read
from furrow.models import Hold, Job, Leader, Queue, Rollup
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


# --- conflicts ----------------------------------------------------------------------------------------------------------------


def counted_cancelled() -> int:
    """How many cancelled jobs the pages' figures have."""
    return sum(Rollup.objects.filter(measure="cancelled").values_list("count", flat=True))


def test_the_new_one_is_dropped() -> None:
    limit = LOCK._replace(conflict="drop")
    first, second = limited(limit), limited(limit)
    assert admit() == [first]
    second.refresh_from_db()
    assert (second.state, second.error) == (State.CANCELLED, "dropped: lock:a was taken when it was due")
    assert counted_cancelled() == 1


def test_the_newest_replaces_the_one_that_runs_and_those_that_wait() -> None:
    limit = LOCK._replace(conflict="cancel")
    first = limited(limit)
    admit()
    run(first)
    second = limited(limit)
    admit()
    third = limited(limit)
    admit()
    for job in (first, second, third):
        job.refresh_from_db()
    assert first.cancel_requested_at is not None
    assert (second.state, third.state, third.held) == (State.CANCELLED, State.PENDING, "lock:a")
    assert f"replaced by job {third.pk}" in second.error
    assert counted_cancelled() == 1
    end(first, State.CANCELLED, Outcome.CANCELLED)
    assert admit() == [third]


def test_the_newest_replaces_one_that_has_the_key_and_has_not_begun() -> None:
    limit = LOCK._replace(conflict="cancel")
    first = limited(limit)
    assert admit() == [first]
    Job.objects.filter(pk=first.pk).update(state=State.QUEUED, queued_at=timezone.now())
    second = limited(limit)
    assert admit() == []
    first.refresh_from_db()
    assert (first.state, first.error) == (State.CANCELLED, f"replaced by job {second.pk}, which also needs lock:a")
    assert counted_cancelled() == 1


# --- turns --------------------------------------------------------------------------------------------------------------------


def test_tenants_take_turns_by_weight_and_priority(sql: Any) -> None:
    many = [limited(fair="a") for _ in range(50)]
    urgent = limited(fair="a", priority=0)
    few = [limited(fair="b") for _ in range(2)]
    limited(fair="c", run_at=timezone.now() + dt.timedelta(hours=1))
    limited(fair="d", queue="other")
    assert admit() == []
    assert sql.tenants(connection, "default", "", 10) == ["a", "b"]
    assert sql.tenants(connection, "default", "a", 10) == ["b"]
    assert sql.take_turns(connection, "default", {"a": 3, "b": 3}) == 5
    assert admit() == sorted([*many[:2], urgent, *few], key=lambda job: job.pk)


def test_tenants_whose_jobs_are_scheduled_hide_nobody_and_an_empty_key_has_its_turn(sql: Any) -> None:
    for n in range(30):
        limited(fair=f"a{n:02d}", run_at=timezone.now() + dt.timedelta(hours=1))
    nobody, last = limited(fair=""), limited(fair="z")
    term, turns = lead(), Turns("default")
    assert term is not None
    assert [turns.take(12, term) for _ in range(2)] == [2, 0]
    assert admit() == [nobody, last]


# --- limits that change, queues that are paused, jobs that move ---------------------------------------------------------------


def test_a_lowered_limit_is_not_exceeded_by_new_starts() -> None:
    jobs = [limited(Limit("limit:t", 5)) for _ in range(5)]
    assert admit() == jobs
    for job in jobs:
        run(job)
    end(jobs[0])
    end(jobs[1])
    after = limited(Limit("limit:t", 2))
    assert admit() == []
    end(jobs[2])
    assert admit() == []
    end(jobs[3])
    assert admit() == [after]


def test_a_job_in_a_paused_queue_gives_its_slots_back_but_for_its_place_in_the_order(sql: Any) -> None:
    order = Limit("order:o", ordered=True)
    job, other = limited(LOCK, order), limited(LOCK, queue="other")
    assert admit() == [job]
    Queue.objects.create(name="default", paused_at=timezone.now() - dt.timedelta(seconds=3))
    assert sql.sweep(connection) == 1
    assert Hold.objects.get().key == "order:o"
    assert admit() == [] or other.pk not in held()
    assert run(job).state == State.PENDING


def test_a_moved_job_leaves_the_limit_of_its_old_queue(sql: Any) -> None:
    old = Limit("queue:default", 1)
    has, waits, next = limited(old, LOCK), limited(old), limited(old)
    assert admit() == [has]
    assert change_queue([has.pk, waits.pk], "other") == 2
    assert sql.sweep(connection) == 1
    assert not Hold.objects.filter(key=old.key).exists()
    waits.refresh_from_db()
    assert (waits.held, waits.limits) == ("", [])
    assert sql.release(connection) == 1
    assert admit() == [next]


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


# --- in words -----------------------------------------------------------------------------------------------------------------


def said(job: Job) -> str:
    """Why this job waits, with a dispatcher and a worker that are well."""
    job.refresh_from_db()
    reason = why(job, Situation(blocker=blocker(job)), timezone.now())
    assert reason is not None
    return reason.text


def test_who_still_waits_for_a_rate_is_looked_at_again() -> None:
    """Also when all that were let go got a slot, and none of them was parked again."""
    rate, term = Limit("rate:r", 2, 60.0), lead()
    for _ in range(5):
        limited(rate)
    admission, sql = Admission(), statements.on(connection)

    def sent() -> int:
        candidates = sql.candidates(connection, "default", 1000)
        jobs = admission.admit(candidates, lambda candidate: read(candidate.limits), term or 0)
        assert sql.mark_queued(connection, {job.id: job.attempt for job in jobs}, term or 0) == len(jobs)
        return len(jobs)

    def opened() -> int:
        Hold.objects.update(free_at=timezone.now() - dt.timedelta(seconds=1))
        admission._opens = dict.fromkeys(admission._opens, 0.0)
        return admission.open_rates(term or 0)

    assert sent() == 2
    assert (opened(), sent()) == (2, 2)
    assert admission.seconds_until_open() is not None
    assert (opened(), sent()) == (1, 1)
    assert admission.seconds_until_open() is None, "nobody waits"


def test_why_a_job_is_held() -> None:
    lock, limit, rate = LOCK, Limit("limit:tenant:x", 2), Limit("rate:m.f", 1, 60.0)
    order, queue = Limit("order:customer:1", ordered=True), Limit("queue:default", 1)
    first, second, third = (limited(lock) for _ in range(3))
    crowd = [limited(limit) for _ in range(3)]
    starts = [limited(rate) for _ in range(2)]
    line = [limited(order) for _ in range(3)]
    room = [limited(queue) for _ in range(2)]
    gate = limited(fair="tenant:y")
    admit()
    run(first)
    assert said(second) == f"The lock a is taken; it is with job {first.pk} (kinds.add), which began"
    assert said(third) == f"The lock a is taken; 1 waits before it; it is with job {first.pk} (kinds.add), which began"
    assert said(crowd[2]) == "The limit of 2 at once for tenant:x is reached"
    assert said(starts[1]) == "The rate of 1 starts in 1 min for m.f is reached; the next may start"
    assert said(line[2]) == f"In order of customer:1 behind job {line[0].pk} (kinds.add), which is pending"
    assert said(room[1]) == "The limit of 1 at once for queue “default” is reached"
    assert said(gate) == "Waits for the turn of tenant:y: tenants of a queue take turns"
    by = blocker(second)
    assert by is not None
    assert [holder.id for holder in by.holders] == [first.pk]
