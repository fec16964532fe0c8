"""Every statement follows the table of moves: from which states it takes a job, and to which."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from furrow import statements
from furrow.actions.jobs import cancel, retry
from furrow.dispatcher.expire import Expire
from furrow.models import Attempt, Job, Rollup
from furrow.statements import Group
from furrow.states import FINAL, MOVES, UNSTARTED, Outcome, State

from tests.rows import HOUR, WORKER, claim, lead, make, settle, state_of

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


@pytest.mark.parametrize("state", State)
def test_a_claim_takes_a_job_from_the_states_of_the_table(state: State) -> None:
    job = make(state)
    assert bool(claim(job)) == (State.RUNNING in MOVES[state])
    assert state_of(job) == (State.RUNNING if State.RUNNING in MOVES[state] else state)


@pytest.mark.parametrize("state", State)
def test_only_a_pending_job_is_marked_queued(state: State, sql: Any) -> None:
    job, term = make(state), lead()
    assert sql.mark_queued(connection, {job.pk: job.attempt}, term) == (State.QUEUED in MOVES[state])
    assert state_of(job) == (State.QUEUED if state is State.PENDING else state)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("target", [*FINAL, State.PENDING])
def test_only_a_running_job_is_settled(state: State, target: State) -> None:
    job = make(state, attempt=1)
    assert settle(job, target) == (state is State.RUNNING)
    assert state_of(job) == (target if state is State.RUNNING else state)
    assert Attempt.objects.count() == (state is State.RUNNING)


BACK = {
    **{
        f"settled: {outcome}": partial(settle, state=State.PENDING, outcome=outcome, delay=9.0)
        for outcome in Outcome
        if outcome not in (Outcome.SUCCEEDED, Outcome.CANCELLED)
    },
    "released": lambda job: statements.on(connection).release_jobs(connection, WORKER, [str(job.pk)]),
    "released in a group": lambda job: statements.on(connection).write(connection, WORKER, Group(released=[str(job.pk)])),
}


@pytest.mark.parametrize("goes_back", BACK.values(), ids=BACK)
def test_what_would_run_again_and_was_cancelled_has_ended(goes_back: Callable[[Job], Any]) -> None:
    cancelled, other = make(State.RUNNING), make(State.RUNNING)
    cancel(cancelled.pk)
    for job in (cancelled, other):
        goes_back(job)
    assert (state_of(cancelled), state_of(other)) == (State.CANCELLED, State.PENDING)
    cancelled.refresh_from_db()
    assert (cancelled.finished_at is not None, claim(cancelled)) == (True, [])
    assert Rollup.objects.filter(measure="cancelled").aggregate(n=Sum("count")) == {"n": 1}
    Job.objects.filter(pk=other.pk).update(run_at=timezone.now() - HOUR)
    assert claim(other) == [other.pk]


@pytest.mark.parametrize("state", State)
def test_cancel_ends_what_has_not_begun_and_asks_what_runs(state: State) -> None:
    job = make(state)
    assert cancel(job.pk) == (state not in FINAL)
    assert state_of(job) == (State.CANCELLED if state in UNSTARTED else state)
    job.refresh_from_db()
    assert (job.cancel_requested_at is not None) == (state is State.RUNNING)


@pytest.mark.parametrize("state", State)
def test_retry_by_hand_moves_what_has_ended(state: State) -> None:
    job = make(state, error="e", max_attempts=1)
    assert retry(job.pk) == (state in FINAL)
    job.refresh_from_db()
    assert job.state == (State.PENDING if state in FINAL else state)
    if state in FINAL:
        assert (job.finished_at, job.error, job.attempt, job.max_attempts) == (None, "", 1, 2)
        assert claim(job) == [job.pk]


@pytest.mark.parametrize("state", State)
def test_only_what_has_not_begun_expires(state: State) -> None:
    job = make(state, expires_at=timezone.now() - HOUR)
    expires = state in (State.PENDING, State.QUEUED)
    assert Expire().run_once() == expires
    assert state_of(job) == (State.CANCELLED if expires else state)
