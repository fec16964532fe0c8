"""Jobs of a workflow that somebody runs again, on both databases: nothing of it runs before its time."""

import pytest
from django.db.models.functions import Now
from furrow import Job, send_signal, workflow
from furrow.actions.jobs import cancel, retry
from furrow.diagnosis.steps import kept_signals
from furrow.models import Move, Node, Workflow
from furrow.states import NodeState, State, WorkflowState
from furrow.testing import advance, drain
from furrow.workflows.acts import restart
from furrow.workflows.builder import Builder
from furrow.workflows.handles import Handle
from furrow.workflows.moves import look_at

from tests import kinds
from tests.kinds import flows

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def nodes(w: Builder) -> dict[str, str]:
    """The states of its nodes, by name."""
    return dict(Node.objects.filter(workflow=w.id).values_list("name", "state"))


def jobs(node: Handle) -> list[str]:
    """The states of its jobs."""
    return list(Job.objects.filter(node=node.id).order_by("pk").values_list("state", flat=True))


def run(*, scheduled: bool = True) -> None:
    drain(raise_on_failure=False, with_scheduled=scheduled)
    assert not Move.objects.exists()


def state(w: Builder) -> str:
    return Workflow.objects.get(pk=w.id).state


def test_a_job_that_was_skipped_is_not_run_again_before_what_it_waits_for() -> None:
    with workflow("w") as w:
        a = w.add(kinds.succeeds_on, {"attempt": 2}, name="a", max_attempts=1)
        b = w.add(flows.order, {"number": 3}, after=[a], name="b")
        c = w.add(kinds.add, {"a": 1, "b": b.result["id"]}, after=[b], name="c")
    run()
    assert retry(Job.objects.filter(node__in=[b.id, c.id])) == 0
    run()
    assert nodes(w) == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert retry(Job.objects.all()) == 1
    run()
    assert (state(w), set(nodes(w).values())) == (WorkflowState.SUCCEEDED, {NodeState.SUCCEEDED})
    assert Job.objects.get(node=c.id).result == 4


def test_a_job_that_was_cancelled_before_its_time_waits_for_it_again() -> None:
    with workflow("w") as w:
        a = w.add(kinds.noop, name="a", countdown=1_000)
        many = w.map(kinds.noop, [{}] * 2, after=[a], name="many")
        one = w.add(kinds.noop, after=[a], name="one")
        w.add(kinds.noop, after=[one], name="last")
    ids = [Job.objects.filter(node=many.id).values_list("pk", flat=True)[0], Job.objects.get(node=one.id).pk]
    for settled in (False, True):
        assert cancel(ids) == 2
        if settled:
            run(scheduled=False)
            assert nodes(w) == {"a": "running", "many": "waiting", "one": "cancelled", "last": "skipped"}
        assert retry(ids) == 2
        run(scheduled=False)
        assert [*jobs(many), *jobs(one)] == [State.WAITING] * 3
        assert nodes(w) == {"a": "running", "many": "waiting", "one": "waiting", "last": "waiting"}
    run()
    assert (state(w), set(nodes(w).values())) == (WorkflowState.SUCCEEDED, {NodeState.SUCCEEDED})


def test_what_was_cancelled_waits_for_nothing_that_cannot_come_any_more() -> None:
    for again in (restart, lambda _: retry(Job.objects.filter(state=State.CANCELLED))):
        with workflow("w") as w:
            a = w.add(kinds.noop, name="a")
            b = w.add(kinds.noop, after=[a.failed], name="b")
            w.add(kinds.noop, after=[b], name="c")
            w.add(kinds.noop, after=[b.ended], name="d")
        cancel(Job.objects.filter(node=b.id))
        run()
        assert (state(w), nodes(w)["b"]) == (WorkflowState.CANCELLED, NodeState.CANCELLED)
        assert again(w.id)
        run()
        assert nodes(w) == {"a": "succeeded", "b": "skipped", "c": "skipped", "d": "succeeded"}
        assert state(w) == WorkflowState.SUCCEEDED
        assert Node.objects.get(pk=b.id).reason == "'a' succeeded, and this waited for its failure"


def test_a_wait_that_timed_out_waits_anew_when_it_is_run_again() -> None:
    with workflow("w") as w:
        paid = w.wait_for("paid", timeout=10)
        w.add(kinds.noop, after=[paid], name="b")
    run(scheduled=False)
    advance(11)
    run(scheduled=False)
    assert nodes(w) == {"paid": "failed", "b": "skipped"}
    assert restart(w.id) == 1
    run(scheduled=False)
    assert nodes(w) == {"paid": "running", "b": "waiting"}
    assert send_signal(w.id, "paid", 7)
    run(scheduled=False)
    assert (state(w), Job.objects.get(node=paid.id).result) == (WorkflowState.SUCCEEDED, 7)


def test_a_signal_that_comes_when_nobody_waits_any_more_is_kept_and_a_retry_takes_it() -> None:
    with workflow("w") as w:
        paid = w.wait_for("paid", timeout=60)
    run()
    job = Job.objects.get(node=paid.id)
    assert (state(w), send_signal(w.id, "paid", {"id": 7})) == (WorkflowState.FAILED, False)
    assert [signal.name for signal in kept_signals(job)] == ["paid"]
    assert restart(w.id) == 1
    run(scheduled=False)
    assert (state(w), Job.objects.get(node=paid.id).result, kept_signals(job)) == (WorkflowState.SUCCEEDED, {"id": 7}, [])


def test_a_node_that_lacked_the_result_of_a_failed_one_waits_for_it_again_in_one_restart() -> None:
    with workflow("w") as w:
        a = w.add(kinds.succeeds_on, {"attempt": 2}, name="a", max_attempts=1)
        b = w.add(kinds.add, {"a": 1, "b": a.result}, after=[a.ended], name="b")
        w.add(kinds.add, {"a": 1, "b": b.result}, after=[b.ended], name="c")
        w.add(kinds.noop, after=[b], name="d")
    run()
    assert nodes(w) == {"a": "failed", "b": "failed", "c": "failed", "d": "skipped"}
    assert restart(w.id) == 1
    assert nodes(w) == {"a": "running", "b": "waiting", "c": "waiting", "d": "waiting"}
    run()
    assert set(nodes(w).values()) == {NodeState.SUCCEEDED}
    assert list(Job.objects.filter(kind=kinds.add.name).order_by("pk").values_list("result", flat=True)) == [3, 4]


@pytest.mark.parametrize("stopped", [True, False])
def test_a_workflow_inside_that_was_skipped_waits_again_with_its_node(stopped: bool) -> None:
    """Also where it is still being stopped when what kept it runs again."""
    with workflow("w") as w:
        a = w.add(kinds.succeeds_on, {"attempt": 2}, name="a", max_attempts=1)
        inner = w.workflow("inner", after=[a])
        inner.add(kinds.noop, name="x")
    drain(raise_on_failure=False)
    assert nodes(w) == {"a": "failed", "inner": "skipped"}
    if not stopped:  # as between two rounds
        Job.objects.filter(node__in=inner.planned).update(state=State.WAITING, finished_at=None)
        Node.objects.filter(workflow=inner.id).update(state=NodeState.WAITING, finished_at=None, cancelled=0, open=1)
        Node.objects.filter(pk=inner.node.id).update(cancelled=0, open=1)  # type: ignore[union-attr]
        reason = Workflow.objects.get(pk=inner.id).reason or "skipped: a failed"
        Workflow.objects.filter(pk=inner.id).update(
            state=WorkflowState.RUNNING, finished_at=None, cancel_requested_at=Now(), reason=reason
        )
        Move.objects.all().delete()
        look_at(Node.objects.filter(workflow=inner.id).values_list("pk", flat=True))
    assert retry(Job.objects.filter(node=a.id)) == 1
    run()
    assert (state(w), set(nodes(w).values()), state(inner)) == ("succeeded", {NodeState.SUCCEEDED}, "succeeded")


def test_a_workflow_ends_though_somebody_looks_at_a_dormant_node_in_the_same_round() -> None:
    """As the engine does where a workflow that was taken up makes its compensations dormant again."""
    with workflow("w") as w:
        a = w.add(kinds.noop, name="a")
        back = w.compensate(a, kinds.noop)
    Job.objects.filter(node=a.id).update(state=State.SUCCEEDED, finished_at=Now())
    look_at([back.id])
    run()
    assert (state(w), nodes(w)) == (WorkflowState.SUCCEEDED, {"a": "succeeded", "a: compensation": "skipped"})
