"""The SQL of limits on both databases: conflicts, the turns of tenants, limits that change, and why a job is held."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from furrow import statements
from furrow.actions.jobs import change_queue
from furrow.diagnosis.blockers import blocker
from furrow.diagnosis.explain import Situation, why
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.turns import Turns
from furrow.limits.limit import Limit
from furrow.limits.stored import read
from furrow.models import Hold, Job, Queue, Rollup
from furrow.states import Outcome, State

from tests.integration.test_holds import LOCK, _database, admit, end, held, limited, run
from tests.rows import lead

pytestmark = pytest.mark.engine


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


__all__ = ["_database"]
