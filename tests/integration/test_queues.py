"""Queues are paused, drained and resumed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from furrow import Job, State, submit, submit_many
from furrow.actions.queues import pause, paused_queues, resume
from furrow.diagnosis.explain import situation, why
from furrow.dispatcher.pauses import Pauses
from furrow.errors import UnknownQueue
from furrow.models import Queue

from tests import kinds
from tests.rows import claim, make, state_of
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


@pytest.mark.django_db
def test_a_pause_is_a_row_that_says_who_and_why() -> None:
    assert pause("default", by="ann", reason="the printer is\0 broken")
    queue = paused_queues()["default"]
    assert (queue.paused_by, queue.reason, queue.draining) == ("ann", "the printer is broken", False)
    assert not pause("default", by="bob")
    assert paused_queues()["default"].paused_by == "ann"
    assert pause("default", by="bob", drain=True)
    assert paused_queues()["default"].draining
    assert resume("default")
    assert not resume("default")
    assert not paused_queues()


@pytest.mark.django_db
def test_a_queue_that_is_none() -> None:
    with pytest.raises(UnknownQueue, match="did you mean 'default'"):
        pause("defualt")
    assert not Queue.objects.exists()


@pytest.mark.django_db
def test_no_claim_takes_a_job_of_a_paused_queue_and_one_of_a_drained_does() -> None:
    here, there = make(State.QUEUED), make(State.QUEUED, queue="other")
    pause("default")
    assert claim(here, there) == [there.pk]
    assert state_of(here) == State.QUEUED
    pause("default", drain=True)
    assert claim(here) == [here.pk]


@pytest.mark.django_db
def test_what_rabbitmq_holds_of_a_paused_queue_is_taken_back_and_of_a_drained_is_not() -> None:
    paused, drained, free = make(State.QUEUED), make(State.QUEUED, queue="other"), make(State.RUNNING)
    pauses = Pauses()
    pause("default")
    pause("other", drain=True)
    pauses.look()
    assert (pauses.paused, pauses.run_once()) == ({"default", "other"}, 1)
    assert [state_of(job) for job in (paused, drained, free)] == [State.PENDING, State.QUEUED, State.RUNNING]


@pytest.mark.django_db
@pytest.mark.parametrize("end", [resume, partial(pause, drain=True)], ids=["resumed", "drained"])
def test_a_pause_that_ends_before_the_dispatcher_looks_leaves_no_job_without_a_message(end: Callable[[str], bool]) -> None:
    refused, elsewhere = make(State.QUEUED), make(State.QUEUED, queue="other")
    pause("default")
    pause("other", drain=True)
    assert claim(refused) == []
    end("default")
    end("other")
    assert [state_of(job) for job in (refused, elsewhere)] == [State.PENDING, State.QUEUED]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "drain", "said"),
    [
        (State.PENDING, False, "Its queue “default” was paused by ann (the printer)"),
        (State.PENDING, True, "Its queue “default” was drained by ann (the printer)"),
        (State.QUEUED, False, "Its queue “default” was paused by ann (the printer)"),
        (State.QUEUED, True, "No running worker"),
    ],
)
def test_why_a_job_waits(state: State, drain: bool, said: str) -> None:
    job, now = make(state), timezone.now()
    pause("default", by="ann", reason="the printer", drain=drain)
    reason: Any = why(job, situation(job, now), now)
    assert reason.text.startswith(said)
    assert reason.stuck


def test_nothing_of_a_paused_queue_begins_until_it_is_resumed(bare: Stack) -> None:
    """Half of it is in RabbitMQ already; other queues go on; the pause survives the dispatcher's and the worker's death."""
    dispatcher = bare.dispatcher()
    held = submit_many(kinds.add, [{"a": n} for n in range(50)])
    rows = Job.objects.filter(pk__in=held)
    wait_until(lambda: rows.filter(state=State.QUEUED).count() == 50, what="RabbitMQ holds them")
    pause("default", by="ann")
    worker = bare.worker()
    other = submit(kinds.add, {"a": 1}, queue="other")
    wait_until(lambda: Job.objects.get(pk=other.pk).state == State.SUCCEEDED, what="another queue goes on")
    wait_until(lambda: rows.filter(state=State.PENDING).count() == 50, what="they wait in the database")
    for process in (dispatcher, worker):
        process.kill()
        bare.expire(process)
    bare.dispatcher("dispatcher-2")
    bare.worker("worker-2")
    later = submit(kinds.add, {"a": 1}, queue="other")
    wait_until(lambda: Job.objects.get(pk=later.pk).state == State.SUCCEEDED, what="the new ones work")
    assert set(rows.values_list("state", "attempt")) == {(State.PENDING, 0)}
    resume("default")
    all_ended()
    assert set(rows.values_list("state", "attempt")) == {(State.SUCCEEDED, 1)}


def test_a_drained_queue_runs_what_was_sent_and_no_more(bare: Stack) -> None:
    dispatcher = bare.dispatcher()
    sent = submit_many(kinds.add, [{"a": n} for n in range(20)])
    rows = Job.objects.filter(pk__in=sent)
    wait_until(lambda: rows.filter(state=State.QUEUED).count() == 20, what="RabbitMQ holds them")
    pause("default", drain=True)
    kept = submit(kinds.add, {"a": 1})
    bare.worker()
    wait_until(lambda: rows.filter(state=State.SUCCEEDED).count() == 20, what="they ran")
    assert Job.objects.get(pk=kept.pk).state == State.PENDING
    assert dispatcher.popen.poll() is None


@pytest.mark.django_db
def test_the_claims_look_at_pauses_is_by_an_index() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's planner")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT name FROM furrow_queue WHERE paused_at IS NOT NULL AND NOT draining")
        assert "queue_closed" in str(cursor.fetchall())
