"""What people do to workflows while the engine moves them, on connections of their own, on both databases."""

import threading
import uuid
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from furrow import Job, workflow
from furrow.actions.jobs import retry
from furrow.models import Move, Node, Workflow
from furrow.models.audit_entry import Origin
from furrow.states import FINAL, NodeState, State, WorkflowState
from furrow.workflows import people
from furrow.workflows.acts import cancel, pause, restart, resume
from furrow.workflows.advance import advance
from furrow.workflows.builder import Builder
from furrow.workflows.forking import fork

from tests import kinds
from tests.races import together
from tests.rows import lead

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("committed")]
Act = Callable[[uuid.UUID, uuid.UUID], Callable[[], object]]

#: What is done at once to a workflow and to the one inside.
RACES: list[list[Act]] = [
    [lambda w, inner: partial(cancel, w), lambda w, inner: partial(cancel, inner)],
    [lambda w, inner: partial(cancel, w), lambda w, inner: partial(cancel, w)],
    [lambda w, inner: partial(pause, w), lambda w, inner: partial(cancel, inner)],
    [lambda w, inner: partial(pause, w), lambda w, inner: partial(resume, w)],
    [lambda w, inner: partial(restart, w), lambda w, inner: partial(cancel, w)],
    [lambda w, inner: partial(restart, inner), lambda w, inner: partial(restart, w)],
]


def nested() -> tuple[Builder, Builder]:
    """Begins with a failure and a success; the workflow inside begins after the success."""
    with workflow("outer") as w:
        a = w.add(kinds.noop, name="a")
        w.add(kinds.noop, name="fails")
        inner = w.workflow("inner", after=[a])
        b = inner.map(kinds.noop, [{}] * 30, name="b")
        inner.add(kinds.noop, after=[b], name="c")
        assert inner.node is not None
        w.add(kinds.noop, after=[inner.node.ended], name="d")
    return w, inner


def end(name: str, state: State) -> None:
    """End the jobs of the node, as a worker would."""
    rows = Job.objects.filter(node__in=Node.objects.filter(name=name).values("pk"), state=State.PENDING)
    rows.update(state=state, finished_at=Now())


def finish(term: int) -> None:
    """Until nothing follows any more; what is let go succeeds."""
    for _ in range(50):
        while advance(term):
            pass
        if not Job.objects.filter(state=State.PENDING).update(state=State.SUCCEEDED, finished_at=Now()):
            return
    raise AssertionError("it does not come to an end")


def counts_are_true() -> None:
    """What nodes say of their jobs is so, and nothing waits for what has ended."""
    assert not Move.objects.exists()
    for node in Node.objects.exclude(sort="workflow"):
        jobs = Job.objects.filter(node=node.pk)
        states = [jobs.exclude(state__in=FINAL), jobs.filter(state=State.FAILED), jobs.filter(state=State.CANCELLED)]
        assert (node.open, node.failed, node.cancelled) == tuple(rows.count() for rows in states), node
    for one in Workflow.objects.all():
        going_on = one.nodes.filter(state__in=["waiting", "running"]).exists()
        assert (one.state == WorkflowState.RUNNING) == going_on, one


@pytest.mark.parametrize("number", range(len(RACES)))
def test_acts_and_the_engine_at_once_lose_no_count_and_leave_nothing_waiting(number: int) -> None:
    for ended in (False, True):
        term = lead() or 0
        w, inner = nested()
        end("a", State.SUCCEEDED)
        end("fails", State.FAILED)
        if ended:
            finish(term)
            cancel([w.id, inner.id])
            finish(term)
        else:
            advance(term)
            end("b", State.SUCCEEDED)
        acts = [act(w.id, inner.id) for act in RACES[number]]
        together(partial(advance, term), *acts, partial(advance, term))
        resume([w.id, inner.id])
        finish(term)
        counts_are_true()
        assert set(Workflow.objects.values_list("state", flat=True)) <= {"succeeded", "failed", "cancelled"}
        for model in (Job, Move, Node, Workflow):
            model._default_manager.all().delete()


def test_of_two_forks_and_a_restart_at_once_each_runs_whole() -> None:
    term = lead() or 0
    w, _inner = nested()
    end("fails", State.FAILED)
    finish(term)
    together(partial(fork, w.id, "a"), partial(fork, w.id, "a"), partial(advance, term))
    finish(term)
    counts_are_true()
    assert [one.state for one in Workflow.objects.filter(fork_of=w.id)] == [WorkflowState.SUCCEEDED] * 2
    assert Job.objects.filter(state=State.SUCCEEDED).count() == 33 + 2 * 34


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it has no locks of rows")
@pytest.mark.parametrize("late", [False, True])
def test_a_job_that_somebody_has_locked_holds_up_its_own_node_only(late: bool) -> None:
    term = lead() or 0
    with workflow("w") as w:
        a = w.add(kinds.add, {"a": 1, "b": 1}, name="a")
        locked = w.add(kinds.add, {"a": a.result if late else 2, "b": 1}, after=[a], name="locked")
        free = w.add(kinds.add, {"a": a.result if late else 2, "b": 2}, after=[a], name="free")
    Job.objects.filter(node=a.id).update(state=State.SUCCEEDED, finished_at=Now(), result=2)
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Job.objects.select_for_update().get(node=locked.id)
            holds.set()
            done.wait(30)

    def states() -> list[str]:
        assert holds.wait(30)
        try:
            advance(term)
            return [Job.objects.get(node=node).state for node in (locked.id, free.id)]
        finally:
            done.set()

    _, found = together(hold, states)
    assert found == [State.WAITING, State.PENDING]
    advance(term)
    job = Job.objects.get(node=locked.id)
    assert (job.state, job.arguments) == (State.PENDING, {"a": 2, "b": 1})


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it has no locks of rows")
def test_a_workflow_that_a_handler_has_locked_holds_up_nobody_who_acts_on_it() -> None:
    (locked, _), (free, _) = nested(), nested()
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Workflow.objects.select_for_update().get(pk=locked.id)
            holds.set()
            done.wait(30)

    def act() -> people.Done:
        assert holds.wait(30)
        try:
            return people.perform("cancel", [locked.id, free.id], people.Person(None, "shell", Origin.COMMAND_LINE))
        finally:
            done.set()

    _, acted = together(hold, act)
    assert acted == (1, [], [locked.id])


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it has no locks of rows")
def test_a_workflow_inside_that_somebody_has_locked_is_taken_up_later_and_the_engine_waits_for_nobody() -> None:
    term = lead() or 0
    with workflow("w") as w:
        a = w.add(kinds.noop, name="a")
        inner = w.workflow("inner", after=[a])
        x = inner.add(kinds.noop, name="x")
    end("a", State.FAILED)
    for _ in range(3):
        advance(term)
    assert Workflow.objects.get(pk=inner.id).state == WorkflowState.CANCELLED
    assert retry(Job.objects.filter(node=a.id)) == 1
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Workflow.objects.select_for_update().get(pk=inner.id)
            holds.set()
            done.wait(30)

    def go_on() -> tuple[str, str]:
        assert holds.wait(30)
        try:
            advance(term)
            advance(term)
            return Node.objects.get(pk=a.id).state, Workflow.objects.get(pk=inner.id).state
        finally:
            done.set()

    _, found = together(hold, go_on)
    assert found == (NodeState.RUNNING, WorkflowState.CANCELLED)
    advance(term)
    assert (Workflow.objects.get(pk=inner.id).state, Job.objects.get(node=x.id).state) == ("running", State.WAITING)
    finish(term)
    counts_are_true()
    assert Workflow.objects.get(pk=w.id).state == WorkflowState.SUCCEEDED
