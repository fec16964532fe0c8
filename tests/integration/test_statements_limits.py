"""Each statement about limits and turns, by itself, on both databases; what they come to together is in test_holds.py."""

import datetime as dt
import json
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from furrow.limits.limit import Limit, row, to_json
from furrow.models import Hold, Job
from furrow.models.job import new_id
from furrow.statements import RuleColumns, Waiting
from furrow.statements.protocol import Statements
from furrow.states import State

from tests.rows import HOUR, lead, make

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

LOCK, PAIR = Limit("lock:a"), Limit("limit:b", 2)


def limited(*limits: Limit, fair: str | None = None, **columns: Any) -> Job:
    """A pending job with these limits."""
    its = row(limits, fair)
    return make(**{**its, "limits": json.loads(its["limits"]), **columns})


def test_the_candidates_of_a_queue_are_its_due_jobs_with_limits_in_the_order_of_the_day(sql: Statements) -> None:
    second, first = limited(LOCK), limited(LOCK, priority=1)
    limited(LOCK, queue="other"), make(), limited(LOCK, held="lock:a"), limited(LOCK, run_at=timezone.now() + HOUR)
    found = sql.candidates(connection, "default", 9)
    assert [candidate.id for candidate in found] == [first.pk, second.pk]
    assert [(one.kind, one.attempt, json.loads(one.limits)) for one in found] == [
        ("kinds.add", 0, json.loads(to_json([LOCK])))
    ] * 2
    assert [place[0] for *_, place in found] == [1, 5]
    assert [candidate.id for candidate in sql.candidates(connection, "default", 1)] == [first.pk]


def test_the_next_candidate_may_be_due_later(sql: Statements) -> None:
    assert sql.seconds_until_candidate(connection, "default") is None
    make(run_at=timezone.now() + HOUR / 2)  # no limits
    limited(LOCK, run_at=timezone.now() + HOUR)
    assert sql.seconds_until_candidate(connection, "default") == pytest.approx(3600, abs=30)
    limited(LOCK)
    assert (sql.seconds_until_candidate(connection, "default") or 1) <= 0


def test_candidates_that_nobody_has_are_free(sql: Statements) -> None:
    jobs = {limited(LOCK).pk, limited(PAIR).pk}
    with transaction.atomic():
        assert sql.still_free(connection, jobs) == jobs


def test_a_term_leads_until_another_one_does(sql: Statements) -> None:
    term = lead()
    assert term
    with transaction.atomic():
        assert sql.leads(connection, term)
        assert not sql.leads(connection, term + 1)


def test_a_slot_is_taken_once(sql: Statements) -> None:
    job, other = limited(PAIR), limited(PAIR)
    sql.take(connection, [("limit:b", 0, job.pk, None, False), ("rate:c", 0, job.pk, 60.0, False)])
    with pytest.raises(IntegrityError), transaction.atomic():
        sql.take(connection, [("limit:b", 0, other.pk, None, False)])
    sql.take(connection, [("limit:b", 1, other.pk, None, False)])
    taken = {
        (slot.key, slot.slot): (slot.job, slot.free_in, slot.period) for slot in sql.slots(connection, ["limit:b", "rate:c"])
    }
    assert taken == {
        ("limit:b", 0): (job.pk, None, None),
        ("limit:b", 1): (other.pk, None, None),
        ("rate:c", 0): (job.pk, None, 60.0),
    }
    assert sql.slots(connection, ["lock:a"]) == []
    with transaction.atomic():
        assert sql.watched(connection, ["limit:b", "lock:a"]) == {"limit:b": 2}


def test_a_rates_slot_that_is_free_again_is_gone(sql: Statements) -> None:
    now = timezone.now()
    Hold.objects.create(key="rate:c", slot=0, period=60.0, free_at=now - HOUR)
    Hold.objects.create(key="rate:c", slot=1, period=60.0, free_at=now + HOUR)
    [slot] = sql.slots(connection, ["rate:c"])
    assert (slot.slot, slot.job) == (1, None)
    assert slot.free_in == pytest.approx(3600, abs=30)
    assert Hold.objects.count() == 1


def test_the_head_of_an_order_is_the_first_that_is_not_over(sql: Statements) -> None:
    make(State.SUCCEEDED, order_key="order:a")
    first = make(order_key="order:a")
    make(order_key="order:a")
    assert sql.heads(connection, ["order:a", "order:b"]) == {"order:a": first.pk}


def test_a_parked_job_waits_until_its_key_is_released(sql: Statements) -> None:
    first, second, ended = limited(LOCK), limited(LOCK), make(State.FAILED)
    sql.park(connection, {first.pk: "lock:a", second.pk: "lock:a", ended.pk: "lock:a"})
    assert set(Job.objects.filter(held="lock:a")) == {first, second}
    Hold.objects.create(key="lock:a", slot=0, job=new_id())
    assert sql.release(connection, ["lock:a"]) == 0
    Hold.objects.all().delete()
    assert sql.release(connection, ["lock:b"]) == 0
    assert sql.release(connection) == 1
    assert list(Job.objects.filter(held="lock:a")) == [second]


def test_what_jobs_wait_for_is_told_key_by_key_and_let_go_as_asked(sql: Statements) -> None:
    jobs = [limited(LOCK, held=key) for key in ("lock:a", "lock:a", "lock:b", "fair")]
    keys = sql.waited_for(connection, "", 9)
    assert [(one.key, one.kind, one.queue) for one in keys] == [
        ("lock:a", "kinds.add", "default"),
        ("lock:b", "kinds.add", "default"),
    ]
    assert isinstance(keys[0], Waiting)
    assert json.loads(keys[0].limits)[0]["key"] == "lock:a"
    assert [one.key for one in sql.waited_for(connection, "lock:a", 9)] == ["lock:b"]
    assert sql.let_go(connection, "lock:a", 1) == 1
    assert sql.let_go(connection, "lock:a", 9) == 1
    assert set(Job.objects.filter(held="")) == set(jobs[:2])


def test_rules_that_changed_are_written_to_pending_jobs_alone(sql: Statements) -> None:
    job, ended = limited(LOCK, held="lock:a"), make(State.FAILED)
    sql.set_rules(connection, [RuleColumns(one.pk, to_json([PAIR]), "order:o", "fair:f", "") for one in (job, ended)])
    job.refresh_from_db()
    ended.refresh_from_db()
    assert (job.limits[0]["key"], job.order_key, job.fair_key, job.held) == ("limit:b", "order:o", "fair:f", "")
    assert (ended.limits, ended.order_key, ended.fair_key) == (None, None, None)


def test_a_job_that_moves_has_the_limits_of_its_new_queue(sql: Statements) -> None:
    job, plain = limited(LOCK, Limit("queue:old", 3), held="queue:old"), make()
    sql.move_limits(connection, [job.pk, plain.pk], to_json([Limit("queue:new", 4)]))
    job.refresh_from_db()
    plain.refresh_from_db()
    assert {one["key"]: one["slots"] for one in job.limits} == {"queue:new": 4, "lock:a": 1}
    assert (job.held, plain.limits) == ("", None)


def test_slots_of_jobs_that_need_them_no_more_are_swept(sql: Statements) -> None:
    waits, ended = limited(LOCK), make(State.SUCCEEDED)
    sql.take(connection, [("lock:a", 0, waits.pk, None, False)])
    sql.take(connection, [("limit:b", 0, ended.pk, None, False), ("limit:b", 1, new_id(), None, False)])
    assert sql.sweep(connection) == 2
    assert Hold.objects.get().job == waits.pk


def test_tenants_take_turns(sql: Statements) -> None:
    jobs = {name: [make(fair_key=name, held="fair", limits=[]) for _ in range(2)] for name in ("a", "b", "c")}
    Job.objects.filter(fair_key="b").update(run_at=timezone.now() + dt.timedelta(hours=1))
    assert sql.tenants(connection, "default", None, 9) == ["a", "c"]
    assert sql.tenants(connection, "default", "a", 9) == ["c"]
    assert sql.tenants(connection, "default", None, 1) == ["a"]
    assert sql.take_turns(connection, "default", {"a": 1, "b": 1, "c": 5}) == 3
    assert set(Job.objects.filter(held="")) == {jobs["a"][0], *jobs["c"]}
