"""What people do to workflows, on both databases: cancel, pause, resume, restart, fork; and their expiry."""

import datetime as dt
from typing import Any

import pytest
from furrow import ArgumentError, Job, WorkflowError, batch, workflow
from furrow.actions import jobs
from furrow.dispatcher.expire import Expire
from furrow.models import Edge, Event, Move, Node, Workflow
from furrow.states import NodeState, State, WorkflowState
from furrow.testing import drain
from furrow.workflows.acts import cancel, pause, restart, resume
from furrow.workflows.builder import Builder
from furrow.workflows.deleting import delete_workflow
from furrow.workflows.forking import fork

from tests import kinds
from tests.kinds import flows

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def nodes(w: Builder | Workflow) -> dict[str, str]:
    """The states of its nodes, by name."""
    return dict(Node.objects.filter(workflow=w.id).values_list("name", "state"))


def state(w: Builder | Workflow) -> str:
    return Workflow.objects.get(pk=w.id).state


def job_of(w: Builder | Workflow, name: str) -> Job:
    return Job.objects.get(node=Node.objects.get(workflow=w.id, name=name).pk)


def run() -> None:
    drain(raise_on_failure=False, with_scheduled=True)
    assert not Move.objects.exists()


def three(name: str = "three", **options: Any) -> Builder:
    """a, then b, then c; and what cleans up."""
    with workflow(name, **options) as w:
        a = w.add(kinds.succeeds_on, {"attempt": 2}, name="a", max_attempts=1)
        b = w.add(kinds.noop, after=[a], name="b")
        w.add(kinds.noop, after=[b], name="c")
        w.add(kinds.noop, after=[a.ended], name="cleans up")
    return w


# --- Cancel -----------------------------------------------------------------------------------------------------------


def test_cancelling_ends_what_waits_and_what_has_not_begun_and_asks_what_runs_to_stop() -> None:
    with workflow("w") as w:
        a = w.add(kinds.noop, name="a")
        running = w.add(kinds.noop, name="running")
        many = w.map(kinds.noop, [{}] * 3, after=[a], name="many")
        w.map(kinds.noop, [], after=[many], name="none")
        w.add(kinds.noop, after=[running.ended], name="cleans up")
    now = dt.datetime.now(dt.UTC)
    Job.objects.filter(node=running.id).update(state=State.RUNNING, worker=w.id, started_at=now, attempt=1)
    assert (cancel(w.id, reason="no more"), cancel(w.id)) == (1, 0)
    run()
    assert nodes(w) == {"running": "running"} | dict.fromkeys(["a", "many", "none", "cleans up"], "cancelled")
    assert Job.objects.get(node=running.id).cancel_requested_at is not None
    assert set(Job.objects.filter(state=State.CANCELLED).values_list("error", flat=True)) == {"no more"}
    assert (state(w), Node.objects.get(name="none").reason) == ("running", "no more")
    Job.objects.filter(node=running.id).update(state=State.CANCELLED, finished_at=now)
    run()
    assert (state(w), Workflow.objects.get(pk=w.id).reason) == (WorkflowState.CANCELLED, "no more")


def test_a_cancelled_workflow_is_cancelled_though_a_node_failed_and_stays_what_it_became_when_all_had_ended() -> None:
    w = three()
    w_id = w.id
    pause(w_id)
    run()
    assert nodes(w) == {"a": "failed", "b": "skipped", "c": "skipped", "cleans up": "waiting"}
    cancel(Workflow.objects.all())
    run()
    assert (state(w), cancel(w_id)) == (WorkflowState.CANCELLED, 0)


def test_a_workflow_inside_one_is_cancelled_and_skipped_with_it_and_nothing_of_it_waits_for_ever() -> None:
    for fails in (False, True):
        with workflow("outer") as w:
            a = w.add(kinds.fails if fails else kinds.noop, {}, name="a", max_attempts=1)
            inner = w.workflow("inner", after=[a])
            innermost = inner.workflow("innermost")
            innermost.add(kinds.noop, name="b")
        if not fails:
            assert cancel(w.id) == 1
        run()
        assert [state(one) for one in (innermost, inner)] == [WorkflowState.CANCELLED] * 2
        assert state(w) == (WorkflowState.FAILED if fails else WorkflowState.CANCELLED)
        assert job_of(innermost, "b").state == State.CANCELLED
        restart(w.id)
        run()
        assert state(w) == (WorkflowState.FAILED if fails else WorkflowState.SUCCEEDED)
        assert state(innermost) == (WorkflowState.CANCELLED if fails else WorkflowState.SUCCEEDED)


def test_what_a_workflow_that_is_cancelled_gets_meanwhile_is_cancelled_too() -> None:
    with workflow("w") as w:
        a = w.add(kinds.noop, name="a")
        w.add(kinds.noop, after=[a], name="b")
    cancel(w.id)
    late = Node.objects.create(workflow_id=w.id, name="late", kind=kinds.noop.name, jobs=1, open=1)
    Job.objects.create(kind=kinds.noop.name, node=late.pk, state=State.WAITING)
    Move.objects.create(node=late.pk)
    run()
    assert (set(nodes(w).values()), state(w)) == ({NodeState.CANCELLED}, WorkflowState.CANCELLED)


# --- Pause ------------------------------------------------------------------------------------------------------------


def test_a_paused_workflow_lets_nothing_more_go_and_goes_on_where_it_stopped() -> None:
    with workflow("w") as w:
        a = w.add(kinds.noop, name="a")
        inner = w.workflow("inner", after=[a])
        inner.add(kinds.noop, name="b")
    assert (pause([w.id]), pause(w.id)) == (1, 0)
    run()
    assert (nodes(w), nodes(inner)) == ({"a": "succeeded", "inner": "waiting"}, {"b": "waiting"})
    assert (resume(w.id), resume(w.id)) == (1, 0)
    run()
    assert (state(w), state(inner)) == (WorkflowState.SUCCEEDED,) * 2
    assert pause(w.id) == 0


# --- Restart ----------------------------------------------------------------------------------------------------------


def test_a_restart_takes_up_what_failed_and_what_was_skipped_because_of_it() -> None:
    w = three()
    run()
    assert state(w) == WorkflowState.FAILED
    cleaned = job_of(w, "cleans up").finished_at
    assert restart(w.id) == 1
    assert (state(w), nodes(w)) == ("running", {"a": "running", "b": "waiting", "c": "waiting", "cleans up": "succeeded"})
    run()
    assert (state(w), set(nodes(w).values())) == (WorkflowState.SUCCEEDED, {NodeState.SUCCEEDED})
    assert job_of(w, "cleans up").finished_at == cleaned
    assert restart(w.id) == 0


def test_a_restart_of_a_cancelled_workflow_lets_nothing_go_before_its_time() -> None:
    with workflow("w") as w:
        a = w.add(kinds.add, {"a": 1, "b": 1}, name="a")
        b = w.add(kinds.add, {"a": a.result, "b": 1}, after=[a], name="b")
        w.add(kinds.add, {"a": b.result, "b": 1}, after=[b, a.ended], name="c")
        w.add(kinds.noop, after=[a.failed], name="alarm")
    cancel(w.id)
    assert restart(w.id) == 0  # it has not ended
    run()
    assert (state(w), restart(w.id)) == (WorkflowState.CANCELLED, 1)
    assert set(Job.objects.values_list("state", flat=True)) == {State.WAITING, State.PENDING}
    run()
    assert nodes(w) == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "alarm": "skipped"}
    assert (job_of(w, "c").result, state(w)) == (4, WorkflowState.SUCCEEDED)


def test_a_restart_reaches_into_workflows_inside_and_takes_up_those_around() -> None:
    for act_on_inner in (False, True):
        with workflow("outer") as w:
            inner = w.workflow("inner")
            a = inner.add(kinds.succeeds_on, {"attempt": 2}, max_attempts=1, name="a")
            inner.add(kinds.noop, after=[a], name="b")
            assert inner.node is not None
            w.add(kinds.noop, after=[inner.node], name="c")
        run()
        assert (state(inner), nodes(w)) == (WorkflowState.FAILED, {"inner": "failed", "c": "skipped"})
        assert restart(inner.id if act_on_inner else w.id) == 1
        run()
        assert (state(inner), state(w)) == (WorkflowState.SUCCEEDED,) * 2


def test_a_retry_by_hand_after_a_cancel_is_not_cancelled_again() -> None:
    with workflow("w") as w:
        w.add(kinds.noop, name="a")
    cancel(w.id)
    run()
    jobs.retry(Job.objects.all())
    run()
    assert (state(w), Workflow.objects.get(pk=w.id).cancel_requested_at) == (WorkflowState.SUCCEEDED, None)


def test_a_restart_gives_a_node_its_arguments_that_had_none_before(settings: Any) -> None:
    with workflow("w") as w:
        a = w.add(kinds.add, {"a": 10**30, "b": 0}, name="a")
        w.add(kinds.add, {"a": a.result, "b": 1}, after=[a], name="b")
    settings.FURROW = {**settings.FURROW, "MAX_ARGUMENT_BYTES": 25}
    run()
    assert (state(w), job_of(w, "b").attempt, restart(w.id)) == (WorkflowState.FAILED, 0, 0)
    settings.FURROW = {**settings.FURROW, "MAX_ARGUMENT_BYTES": 1_000}
    assert restart(w.id) == 1
    run()
    assert (state(w), job_of(w, "b").result) == (WorkflowState.SUCCEEDED, 10**30 + 1)


# --- Fork -------------------------------------------------------------------------------------------------------------


def test_a_fork_repeats_from_a_node_on_and_reuses_the_rest() -> None:
    with workflow("w") as w:
        a = w.add(flows.order, {"number": 7}, name="a")
        b = w.add(kinds.add, {"a": a.result["id"], "b": 1}, after=[a], name="b", tags=["red"], max_attempts=3)
        many = w.map(kinds.add, [{"a": n} for n in range(25)], shared={"b": b.result}, after=[b], name="many")
        w.add(flows.sums, {"totals": many.results}, after=[many], name="sum")
        w.add(kinds.noop, after=[a.failed], name="alarm")
    run()
    assert job_of(w, "sum").result == 500
    again = fork(w.id, "b", arguments={"b": 11})
    assert (again.fork_of, state(again)) == (w.id, "running")
    run()
    assert nodes(again) == nodes(w)
    assert (job_of(again, "b").result, job_of(again, "sum").result, state(again)) == (18, 750, WorkflowState.SUCCEEDED)
    assert (job_of(again, "b").tags, job_of(again, "b").max_attempts) == (["red"], 3)
    assert not Job.objects.filter(node__in=Node.objects.filter(workflow=again.pk, name__in=["a", "alarm"])).exists()
    assert job_of(w, "b").result == 8  # the other one stays as it is
    third = fork(again, "sum")
    run()
    assert (job_of(third, "sum").result, Job.objects.filter(node__in=Node.objects.filter(workflow=third.pk)).count()) == (
        750,
        1,
    )
    assert list(Edge.objects.filter(workflow=third.pk).values_list("met", flat=True).distinct().order_by("met")) == [
        False,
        True,
    ]


def test_a_fork_runs_again_what_failed_elsewhere_and_copies_workflows_inside() -> None:
    with workflow("w") as w:
        w.add(kinds.succeeds_on, {"attempt": 5}, name="elsewhere", max_attempts=1)
        a = w.add(kinds.noop, name="a")
        inner = w.workflow("inner", after=[a])
        first = inner.add(kinds.add, {"a": 1, "b": 2}, name="first")
        inner.add(kinds.add, {"a": first.result, "b": 2}, after=[first], name="last")
        assert inner.node is not None
        w.add(kinds.add, {"a": inner.node.result, "b": 1}, after=[inner.node], name="end")
    run()
    again = fork(w.id, "inner")
    run()
    assert (job_of(again, "end").result, nodes(again)["elsewhere"], state(again)) == (6, "failed", WorkflowState.FAILED)
    assert Workflow.objects.filter(name="inner", state=WorkflowState.SUCCEEDED).count() == 2
    assert Job.objects.filter(kind=kinds.add.name).count() == 6


def test_what_cannot_be_forked_is_refused_and_nothing_is_written() -> None:
    with workflow("w") as w:
        a = w.add(kinds.add, {"a": 1, "b": 2}, name="a")
        w.map(kinds.noop, [{}], after=[a], name="many")
        w.add(kinds.noop, after=[a.failed], name="alarm")

    def refused(error: type[Exception], text: str, node: str, **given: Any) -> None:
        with pytest.raises(error, match=text):
            fork(w.id, node, **given)

    refused(WorkflowError, "goes on", "a")
    run()
    refused(WorkflowError, "no node aa; did you mean 'a'", "aa")
    refused(WorkflowError, "waits for the failure of 'a', which succeeded", "alarm")
    refused(WorkflowError, "no single job", "many", arguments={"x": 1})
    refused(ArgumentError, "c: is not an argument", "a", arguments={"c": 1})
    refused(ArgumentError, "a: ", "a", arguments={"a": "much"})
    assert (Workflow.objects.count(), Job.objects.count()) == (1, 3)


def test_a_fork_does_again_what_was_taken_back_and_leaves_out_what_jobs_will_add_again() -> None:
    with workflow("trip") as w:
        first = w.add(kinds.add, {"a": 1, "b": 1}, name="first")
        grown = w.add(flows.grows, {"depth": 1}, name="tree")
        booked = w.add(kinds.add, {"a": first.result, "b": 1}, after=[first], name="booked")
        w.compensate(booked, kinds.add, {"a": booked.result, "b": 0}, name="taken back")
        w.on_failure(kinds.noop, name="tell")
        w.add(kinds.succeeds_on, {"attempt": 2}, after=[booked, grown], max_attempts=1, name="fails")
    run()
    assert (state(w), nodes(w)["taken back"]) == (WorkflowState.FAILED, "succeeded")
    assert restart(w.id) == 0  # or "fails" would run without what was booked
    again = fork(w.id, "fails")
    run()
    assert job_of(again, "booked").result == 3
    assert (state(again), nodes(again)) == (WorkflowState.FAILED, nodes(w))
    assert Node.objects.get(workflow=again.pk, name="tree").result_of == grown.id
    third = fork(again, "tree")
    assert "at 0" not in nodes(third)
    run()
    assert nodes(third) == nodes(w)
    with pytest.raises(WorkflowError, match="runs when the workflow fails"):
        fork(w.id, "tell")


def test_cancelling_takes_back_what_was_done_and_closes_a_batch() -> None:
    with workflow("trip") as w:
        booked = w.add(kinds.add, {"a": 1, "b": 1}, name="booked")
        w.compensate(booked, kinds.noop, name="taken back")
        w.add(kinds.noop, after=[booked], name="then")
    pause(w.id)
    run()
    cancel(w.id)
    run()
    assert nodes(w) == {"booked": "succeeded", "then": "cancelled", "taken back": "succeeded"}
    assert state(w) == WorkflowState.CANCELLED
    with batch("import", on_complete=kinds.noop) as b:
        b.add(kinds.noop)
        cancel(b.id)
        run()
        with pytest.raises(WorkflowError, match="is closed"):
            b.add(kinds.noop)
    run()
    assert Workflow.objects.get(pk=b.id).state == WorkflowState.CANCELLED
    assert set(Node.objects.filter(workflow=b.id).values_list("state", flat=True)) == {"cancelled"}


def test_what_has_forks_is_kept_with_its_results() -> None:
    with workflow("outer") as w:
        inner = w.workflow("inner")
        a = inner.add(kinds.add, {"a": 1, "b": 1}, name="a")
        inner.add(kinds.add, {"a": a.result, "b": 1}, after=[a], name="b")
    run()
    first = fork(inner.id, "b")
    run()
    second = fork(first, "b")
    run()
    assert [delete_workflow(one, 10) for one in (w.id, first.pk)] == [(0, False)] * 2
    assert [delete_workflow(one, 10) for one in (second.pk, first.pk, w.id)] == [(1, True), (1, True), (2, True)]


# --- Expiry -----------------------------------------------------------------------------------------------------------


def test_a_workflow_that_has_not_ended_by_its_time_is_cancelled() -> None:
    expired, later = three("expired", expires=3600), three("later", expires=dt.timedelta(hours=2))
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    assert Expire().run_once() == 0
    Workflow.objects.filter(pk=expired.id).update(expires_at=long_ago)
    assert Expire().run_once() == 1
    run()
    assert (state(expired), state(later)) == (WorkflowState.CANCELLED, WorkflowState.FAILED)
    assert job_of(expired, "b").error == "expired: it had not ended by its expires_at"
    with pytest.raises(WorkflowError, match="expires"):
        three(expires=-1)


# --- Events -----------------------------------------------------------------------------------------------------------


def test_the_end_of_a_workflow_is_told_while_somebody_wants_it(settings: Any) -> None:
    def ended(name: str) -> Builder:
        with workflow(name) as w:
            w.workflow("inside").add(kinds.noop)
        run()
        return w

    ended("unheard")
    settings.FURROW = {**settings.FURROW, "EVENTS": ["workflow.#.succeeded"]}
    w = ended("order 7: größer")
    cancelled = three()
    cancel(cancelled.id)
    run()
    told = Event.objects.exclude(name__startswith="job.").get()
    assert told.name == "workflow.order_7_gr_er.succeeded"
    assert told.data == {"workflow": str(w.id), "name": w.row.name, "state": "succeeded", "reason": "", "fork_of": None}
