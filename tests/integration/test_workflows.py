"""Workflows, on both databases: what is written, what follows from the ends of jobs."""

from contextlib import nullcontext
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from furrow import (
    ArgumentError,
    Batch,
    InputError,
    Job,
    OptionError,
    WorkflowError,
    WorkflowFailed,
    batch,
    current_workflow,
    send_signal,
    submit,
    wait,
    workflow,
)
from furrow.actions.jobs import cancel, delete, retry
from furrow.context import _run
from furrow.diagnosis.as_json import job_json
from furrow.dispatcher.prune import Prune
from furrow.errors import StaleRun
from furrow.kinds.secret import MASK
from furrow.models import Edge, Move, Node, Workflow
from furrow.states import NodeState, State, WorkflowState
from furrow.testing import drain
from furrow.worker.child.current import Run
from furrow.workflows.builder import Builder
from furrow.workflows.forking import fork
from pytest_django import Settings

from tests import kinds
from tests.kinds import flows
from tests.rows import HOUR, WORKER
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def nodes(w: Builder) -> dict[str, str]:
    """The states of its nodes, by name."""
    return dict(Node.objects.filter(workflow=w.id).values_list("name", "state"))


def state(w: Builder) -> str:
    return Workflow.objects.get(pk=w.id).state


def result(w: Builder, name: str) -> object:
    return Job.objects.get(node=Node.objects.get(workflow=w.id, name=name).pk).result


def run() -> None:
    drain(raise_on_failure=False, with_scheduled=True)


def test_a_node_runs_when_those_that_it_waits_for_have_succeeded_and_gets_their_results() -> None:
    with workflow("order 7") as w:
        a = w.add(flows.order, {"number": 7})
        b = w.add(kinds.add, {"a": a.result["id"], "b": a.result["lines"][1]["price"]}, after=[a], name="b")
        w.add(kinds.add, {"a": b.result, "b": 1}, after=[a, b], name="c")
    assert set(Job.objects.values_list("state", flat=True)) == {State.PENDING, State.WAITING}
    run()
    assert result(w, "b") == 21
    assert result(w, "c") == 22
    assert (state(w), set(nodes(w).values())) == (WorkflowState.SUCCEEDED, {NodeState.SUCCEEDED})
    assert not Move.objects.exists()


def test_a_failure_skips_what_waits_for_success_and_lets_go_what_waits_for_it_or_for_any_end() -> None:
    with workflow("fails") as w:
        a = w.add(kinds.fails, {}, name="a", max_attempts=1)
        b = w.add(kinds.noop, after=[a], name="b")
        w.add(kinds.noop, after=[b], name="c")
        w.add(kinds.noop, after=[b.ended], name="after the end")
        w.add(kinds.noop, after=[a.failed], name="on failure")
        w.add(kinds.noop, after=[b.failed], name="never")
    run()
    ran = {"a": "failed", "after the end": "succeeded", "on failure": "succeeded"}
    assert nodes(w) == {**ran, "b": "skipped", "c": "skipped", "never": "skipped"}
    assert state(w) == WorkflowState.SUCCEEDED  # the failure was expected
    assert Node.objects.get(name="b").reason == "'a' failed, and this waited for its success"
    assert Job.objects.get(node=Node.objects.get(name="b").pk).error == "skipped: 'a' failed, and this waited for its success"


def test_a_failure_that_nobody_waits_for_fails_the_workflow() -> None:
    with workflow("fails") as w:
        a = w.add(kinds.fails, {}, name="a", max_attempts=1)
        w.add(kinds.noop, after=[a.ended], name="cleans up")
    run()
    assert (state(w), nodes(w)) == (WorkflowState.FAILED, {"a": "failed", "cleans up": "succeeded"})


def test_a_retry_of_what_failed_takes_up_what_was_skipped(tmp_path: object) -> None:
    with workflow("again") as w:
        a = w.add(kinds.succeeds_on, {"attempt": 2}, name="a", max_attempts=1)
        b = w.add(kinds.noop, after=[a], name="b")
        w.add(kinds.noop, after=[b], name="c")
        w.add(kinds.noop, after=[a.failed], name="alarm")
    run()
    assert nodes(w) == {"a": "failed", "b": "skipped", "c": "skipped", "alarm": "succeeded"}
    assert retry(Job.objects.filter(node=a.id)) == 1
    run()
    assert nodes(w) == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "alarm": "succeeded"}
    assert state(w) == WorkflowState.SUCCEEDED


def test_many_jobs_are_one_node_and_their_results_one_argument() -> None:
    with workflow("map") as w:
        base = w.add(kinds.add, {"a": 50, "b": 50}, name="base")
        rows = [{"a": n} for n in range(30)]
        many = w.map(kinds.add, rows, shared={"b": base.result}, after=[base], name="many")
        w.add(flows.sums, {"totals": many.results}, after=[many], name="lazy")
        w.add(flows.adds_up, {"totals": many.result, "more": base.result}, after=[many], name="whole")
        none = w.map(kinds.noop, [], name="none")
        w.add(flows.sums, {"totals": none.results}, after=[none], name="of none")
    run()
    assert (result(w, "lazy"), result(w, "whole"), result(w, "of none")) == (3435, 3535, 0)
    assert state(w) == WorkflowState.SUCCEEDED


def test_one_failure_among_many_is_told_at_once_where_somebody_waits_for_it() -> None:
    with workflow("map") as w:
        many = w.map(kinds.succeeds_on, [{"attempt": n} for n in (1, 3)], max_attempts=1, name="many")
        w.add(kinds.noop, after=[many.first_failed], name="first")
        w.add(kinds.noop, after=[many], name="all")
    failing = Job.objects.filter(node=many.id).last()
    drain(raise_on_failure=False)
    assert failing is not None
    assert nodes(w) == {"many": "failed", "first": "succeeded", "all": "skipped"}


def test_a_workflow_in_a_workflow_is_a_node_with_a_result() -> None:
    with workflow("outer") as w:
        a = w.add(kinds.add, {"a": 1, "b": 1}, name="a")
        inner = w.workflow("inner", after=[a])
        first = inner.add(kinds.add, {"a": 2, "b": 3}, name="first")
        inner.add(kinds.add, {"a": first.result, "b": 10}, after=[first], name="last")
        assert inner.node is not None
        w.add(kinds.add, {"a": inner.node.result, "b": a.result}, after=[inner.node, a], name="b")
    assert set(nodes(inner).values()) == {NodeState.WAITING}
    run()
    assert result(w, "b") == 17
    assert (state(inner), state(w)) == (WorkflowState.SUCCEEDED, WorkflowState.SUCCEEDED)


def test_a_workflow_that_fails_in_a_workflow_fails_its_node_and_a_retry_takes_up_both() -> None:
    with workflow("outer") as w:
        inner = w.workflow("inner")
        first = inner.add(kinds.succeeds_on, {"attempt": 2}, max_attempts=1)
        assert inner.node is not None
        w.add(kinds.noop, after=[inner.node], name="b")
    run()
    assert (state(inner), nodes(w)) == (WorkflowState.FAILED, {"inner": "failed", "b": "skipped"})
    retry(Job.objects.filter(node=first.id))
    run()
    assert (state(inner), nodes(w)) == (WorkflowState.SUCCEEDED, {"inner": "succeeded", "b": "succeeded"})


def test_a_cancelled_job_cancels_its_node_and_a_deleted_one_too() -> None:
    with workflow("cancelled") as w:
        a = w.add(kinds.noop, name="a")
        b = w.add(kinds.noop, after=[a], name="b")
        w.add(kinds.noop, after=[b], name="c")
    assert cancel(Job.objects.filter(node=b.id)) == 1
    run()
    assert (state(w), nodes(w)) == (WorkflowState.CANCELLED, {"a": "succeeded", "b": "cancelled", "c": "skipped"})
    with workflow("deleted") as v:
        a = v.add(kinds.noop, name="a")
        v.add(kinds.noop, after=[a], name="b")
    Job.objects.filter(node=a.id).delete()
    run()
    assert (state(v), nodes(v)) == (WorkflowState.CANCELLED, {"a": "cancelled", "b": "skipped"})
    assert delete(Job.objects.filter(node=b.id)) == 1


def test_a_reference_that_leads_to_nothing_fails_its_job_by_name() -> None:
    with workflow("w") as w:
        a = w.add(flows.order, {"number": 7})
        w.add(kinds.add, {"a": a.result["lines"][5]["price"], "b": 1}, after=[a], name="b")
    run()
    job = Job.objects.get(node=Node.objects.get(name="b").pk)
    assert (job.state, job.attempt) == (State.FAILED, 0)
    assert job.error == "a: order.result['lines'][5]['price'] leads to nothing, the result has no 5 there"
    assert state(w) == WorkflowState.FAILED


def test_a_workflow_that_is_rolled_back_never_was() -> None:
    with transaction.atomic():
        with workflow("w") as w:
            w.add(kinds.noop)
        transaction.set_rollback(True)
    assert not any(model._default_manager.exists() for model in (Workflow, Node, Edge, Job))


def test_what_cannot_be_is_refused_by_name_and_nothing_is_written() -> None:
    with workflow("other") as other:
        elsewhere = other.add(kinds.noop)
    Job.objects.all().delete()

    def submitted(given: dict[str, Any]) -> None:
        with workflow("w") as w:
            a = w.add(flows.order, {"number": 1}, name="a")
            b = w.add(kinds.add, {"a": 1, "b": 2}, name="b")
            call: dict[str, Any] = {name: value(a, b) if callable(value) else value for name, value in given.items()}
            w.add(kinds.add, call.pop("arguments", {"a": 1, "b": 2}), **call)

    def refused(error: type[Exception], text: str, **given: Any) -> None:
        with pytest.raises(error, match=text):
            submitted(given)

    refused(WorkflowError, "'noop' is no node of this workflow", after=[elsewhere])
    refused(WorkflowError, "has a node 'a' already", name="a")
    refused(WorkflowError, "must be a text of 1 to 200 characters", name="x" * 201)
    refused(WorkflowError, "'a' is there twice", after=lambda a, b: [a, a.ended])
    refused(WorkflowError, r"after=\[…\]", after=lambda a, b: a)
    refused(
        WorkflowError,
        "a: a.result is the result of a node that this one does not wait for",
        arguments=lambda a, b: {"a": a.result, "b": 1},
    )
    refused(
        ArgumentError,
        "takes a JSON integer, but a.result is a JSON object",
        arguments=lambda a, b: {"a": a.result, "b": 1},
        after=lambda a, b: [a],
    )
    refused(ArgumentError, "z: is not an argument", arguments=lambda a, b: {"z": a.result}, after=lambda a, b: [a])
    refused(ArgumentError, "a: is missing", arguments=lambda a, b: {"b": b.result}, after=lambda a, b: [b])
    refused(OptionError, "unique", unique="k")
    refused(OptionError, "queue", queue="nowhere")
    with pytest.raises(WorkflowError, match="has no node"):
        workflow("empty").__enter__().submit()
    assert Workflow.objects.count() == 1
    assert not Job.objects.exists()


def test_a_secret_argument_that_is_a_result_is_hidden_as_any_other() -> None:
    with workflow("w") as w:
        a = w.add(flows.note, {"text": "open sesame"}, name="a")
        b = w.add(flows.secretive, {"word": a.result}, after=[a], name="b")
    run()
    forked = fork(w.id, "a")
    run()
    again = Node.objects.get(workflow=forked, name="b")
    for job in Job.objects.filter(node__in=[b.id, again.pk]):
        assert (job.state, job_json(job)["arguments"]) == (State.SUCCEEDED, {"n": 0, "word": MASK})


def test_who_submits_names_no_node_whose_results_a_job_then_reads() -> None:
    with workflow("w") as w:
        many = w.map(kinds.add, [{"a": 1, "b": 2}] * 2, name="many")
    named = {"totals": {"results_of": str(many.id)}}
    with pytest.raises(ArgumentError, match="totals"):
        submit(flows.sums, named)
    with pytest.raises(ArgumentError, match="totals"), workflow("other") as other:
        other.add(flows.sums, named)
    assert submit(flows.sums, {"totals": [1, 2]}).arguments == {"totals": [1, 2]}


def test_a_key_that_needs_a_later_result_is_refused() -> None:
    with workflow("w") as w:
        a = w.add(kinds.add, {"a": 1, "b": 2})
        given = {"a": a.result, "b": 1}
        with pytest.raises(OptionError, match="a key of this kind's rules needs it"):
            w.add(kinds.add, given, after=[a], lock="account:{a}")


def test_a_running_job_adds_to_its_workflow_and_what_waits_for_it_waits_for_that_too() -> None:
    with workflow("grows") as w:
        a = w.add(flows.grows, {"depth": 3, "fails_first": True}, name="a", max_attempts=2)
        w.add(flows.note, {"text": "last"}, after=[a], name="last")
    run()
    found = nodes(w)
    assert len(found) == 2 + 3 * 3  # the second run of the first job added nothing twice
    assert set(found.values()) == {NodeState.SUCCEEDED}
    last = Job.objects.get(node=Node.objects.get(workflow=w.id, name="last").pk)
    others = Job.objects.exclude(pk=last.pk)
    assert last.started_at is not None
    assert all(other.finished_at is not None and other.finished_at <= last.started_at for other in others)
    assert state(w) == WorkflowState.SUCCEEDED


def test_each_job_of_a_node_of_many_adds_its_own_and_takes_no_others_for_it() -> None:
    rows = [{"depth": 1, "fails_first": n == 0, "named": False} for n in range(3)]
    with workflow("grows") as w:
        w.map(flows.grows, rows, name="many", max_attempts=2)
    run()
    assert set(nodes(w).values()) == {NodeState.SUCCEEDED}
    assert Job.objects.filter(kind="kinds.grows").count() == 3 + 3
    assert Job.objects.filter(kind="kinds.note").count() == 3 * 3
    with workflow("named") as w:
        w.map(flows.grows, [{"depth": 1}] * 2, name="many", max_attempts=1)
    run()
    errors = Job.objects.filter(node=Node.objects.get(workflow=w.id, name="many").pk).values_list("error", flat=True)
    assert sorted(error[:45] for error in errors) == ["", "WorkflowError: The workflow has a node 'at 0'"]


def test_a_name_that_was_not_taken_after_all_may_be_added_again() -> None:
    with workflow("w") as w:
        w.add(kinds.noop)
    job = Job.objects.get()
    Job.objects.update(state=State.RUNNING, attempt=1, worker=WORKER, started_at=timezone.now())
    token = _run.set(Run(str(job.pk), "kinds.noop", 1, 0, 5))
    try:
        with transaction.atomic():
            current_workflow.add(kinds.noop, name="more")
            transaction.set_rollback(True)
        current_workflow.add(kinds.noop, name="more")
        with pytest.raises(WorkflowError, match="has added a node 'more' already"):
            current_workflow.add(kinds.noop, name="more")
    finally:
        _run.reset(token)
    assert nodes(w) == {"noop": "running", "more": "running"}


def test_jobs_without_names_add_to_any_depth() -> None:
    with workflow("deep") as w:
        w.add(flows.grows, {"depth": 50, "named": False, "notes": False})
    run()
    assert (len(nodes(w)), set(nodes(w).values())) == (51, {NodeState.SUCCEEDED})


def test_a_job_adds_nothing_outside_of_a_workflow_and_no_name_that_is_another_nodes() -> None:
    job = submit(flows.grows, {"depth": 1}, max_attempts=1)
    with workflow("w") as w:
        w.add(flows.grows, {"depth": 1}, max_attempts=1, name="a")
        w.add(kinds.noop, name="at 0")
    run()
    job.refresh_from_db()
    assert "runs in no job of a workflow" in job.error
    assert nodes(w) == {"a": "failed", "at 0": "succeeded"}
    with pytest.raises(WorkflowError, match="runs in no job of a workflow"):
        current_workflow.add(kinds.noop)
    assert current_workflow.id is None


def test_what_succeeded_is_taken_back_in_reverse_order_when_the_workflow_fails() -> None:
    with workflow("saga") as w:
        a = w.add(flows.order, {"number": 1}, name="a")
        w.compensate(a, flows.note, {"text": "take back a"})
        b = w.add(flows.order, {"number": 2}, after=[a], name="b")
        w.compensate(b, kinds.add, {"a": b.result["id"], "b": 40})
        c = w.add(kinds.fails, {}, after=[b], name="c", max_attempts=1)
        w.compensate(c, flows.note, {"text": "never"})
        w.on_failure(flows.note, {"text": "alarm"})
    run()
    assert nodes(w) == {
        "a": "succeeded",
        "a: compensation": "succeeded",
        "b": "succeeded",
        "b: compensation": "succeeded",
        "c": "failed",
        "c: compensation": "skipped",
        "on failure": "succeeded",
    }
    assert state(w) == WorkflowState.FAILED
    assert result(w, "b: compensation") == 42
    ran = Job.objects.filter(state=State.SUCCEEDED).order_by("finished_at")
    names = dict(Node.objects.values_list("pk", "name"))
    assert [names[node] for node in ran.values_list("node", flat=True) if node] == [
        "a",
        "b",
        "b: compensation",
        "a: compensation",
        "on failure",
    ]


def test_nothing_is_taken_back_when_all_goes_well_but_it_can_be_when_a_part_is_run_again() -> None:
    with workflow("saga") as w:
        a = w.add(flows.note, {"text": "a"}, name="a")
        w.compensate(a, flows.note, {"text": "back"}, name="back")
        b = w.add(kinds.succeeds_on, {"attempt": 1}, after=[a], name="b", max_attempts=1)
    run()
    assert (state(w), nodes(w)["back"]) == (WorkflowState.SUCCEEDED, "skipped")
    Job.objects.filter(node=b.id).update(arguments={"attempt": 9})
    retry(Job.objects.filter(node=b.id))
    run()
    assert (state(w), nodes(w)["back"]) == (WorkflowState.FAILED, "succeeded")


def test_a_batch_is_added_to_until_it_is_closed_and_then_its_callbacks_run() -> None:
    with batch("import", on_success=(flows.reads, {"name": "jobs"}), on_complete=kinds.noop, on_first_failure=kinds.noop) as b:
        b.add(kinds.add, {"a": 1, "b": 1})
        run()
        Batch(b.id).map(kinds.add, [{"a": 2, "b": 2}, {"a": 3, "b": 3}])
        run()
        assert Workflow.objects.get(pk=b.id).state == WorkflowState.RUNNING
    run()
    states = dict(Node.objects.filter(workflow=b.id).values_list("name", "state"))
    ran = {"jobs": "succeeded", "on success": "succeeded", "on complete": "succeeded"}
    assert states == {**ran, "on first failure": "skipped"}
    assert Job.objects.get(kind="kinds.reads").result == [2, 4, 6]
    assert list(b.results) == [2, 4, 6]
    assert list(wait(b)) == [2, 4, 6]
    with pytest.raises(WorkflowError, match="is closed"):
        b.add(kinds.noop)


def test_the_first_failure_of_a_batch_is_told_before_it_is_closed() -> None:
    with batch("import", on_success=kinds.noop, on_complete=kinds.noop, on_first_failure=kinds.noop) as b:
        b.add(kinds.fails, {}, max_attempts=1)
        b.add(kinds.fails, {}, max_attempts=1)
        drain(raise_on_failure=False)
        found = Node.objects.filter(workflow=b.id)
        assert dict(found.values_list("name", "state")) == {
            "jobs": "running", "on success": "waiting", "on complete": "waiting", "on first failure": "succeeded"
        }  # fmt: skip
    run()
    assert dict(found.values_list("name", "state")) == {
        "jobs": "failed", "on success": "skipped", "on complete": "succeeded", "on first failure": "succeeded"
    }  # fmt: skip


def test_a_block_that_fails_cancels_its_batch() -> None:
    opened = []

    def fill() -> None:
        with batch("import", on_success=kinds.noop) as b:
            opened.append(b.id)
            b.add(kinds.noop)
            raise KeyError

    with pytest.raises(KeyError):
        fill()
    run()
    assert Workflow.objects.get(pk=opened[0]).state == WorkflowState.CANCELLED
    assert set(Job.objects.values_list("state", flat=True)) == {State.CANCELLED}


def test_a_block_that_breaks_its_transaction_raises_what_broke_it() -> None:
    def fill() -> None:
        with transaction.atomic(), batch("import") as b:
            b.add(kinds.noop)
            Workflow.objects.create(pk=b.id, name="twice")

    with pytest.raises(IntegrityError) as raised:
        fill()
    assert "was not cancelled" in raised.value.__notes__[0]
    assert not Workflow.objects.exists()


def test_waiting_for_a_workflow_gives_its_result_or_says_why_there_is_none() -> None:
    with workflow("good") as w:
        w.result = w.add(kinds.add, {"a": 1, "b": 2})
        w.add(kinds.noop)
    with pytest.raises(TimeoutError):
        wait(w, timeout=0)
    with workflow("bad") as v:
        v.add(kinds.fails, {"message": "no"}, name="a", max_attempts=1)
    run()
    assert wait(w) == 3
    with pytest.raises(WorkflowFailed, match="'bad' failed: a: ValueError: no"):
        wait(v.id)
    with pytest.raises(WorkflowError, match="There is no workflow"):
        wait("00000000-0000-7000-8000-000000000000")


def test_an_old_workflow_is_pruned_whole_and_its_jobs_not_before(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "KEEP_SUCCEEDED": 3600, "KEEP_FAILED": 3600}
    with workflow("old") as w:
        inner = w.workflow("inner")
        inner.map(kinds.noop, [{}] * 3)
        w.add(kinds.noop)
    run()
    long_ago = timezone.now() - 2 * HOUR
    Job.objects.update(finished_at=long_ago)
    Prune().run_once()
    assert (Job.objects.count(), Workflow.objects.count()) == (4, 2)
    Workflow.objects.update(finished_at=long_ago)
    wait_until(lambda: Prune().run_once() == 0 and not Workflow.objects.exists(), what="rounds of a bounded time")
    assert not any(model._default_manager.exists() for model in (Workflow, Node, Edge, Move, Job))


def test_a_run_whose_job_another_has_by_now_adds_nothing() -> None:
    with workflow("w") as w:
        w.add(kinds.noop)
    job = Job.objects.get()
    Job.objects.update(state=State.RUNNING, attempt=2, worker=WORKER, started_at=timezone.now())
    for attempt, added in ((1, 0), (2, 1)):
        token = _run.set(Run(str(job.pk), "kinds.noop", attempt, 0, 5))
        try:
            with nullcontext() if added else pytest.raises(StaleRun):
                current_workflow.add(kinds.noop, name="more")
        finally:
            _run.reset(token)
        assert Node.objects.filter(workflow=w.id, name="more").count() == added


def test_what_waits_for_two_that_run_again_waits_for_both() -> None:
    with workflow("w") as w:
        a, b = (w.add(kinds.succeeds_on, {"attempt": n}, name=name, max_attempts=1) for n, name in ((1, "a"), (2, "b")))
        w.add(kinds.noop, after=[a, b], name="c")
    run()
    assert nodes(w) == {"a": "succeeded", "b": "failed", "c": "skipped"}
    retry(Job.objects.filter(node=a.id))
    run()
    assert nodes(w)["c"] == "skipped"
    retry(Job.objects.filter(node=b.id))
    run()
    assert (nodes(w)["c"], Node.objects.get(workflow=w.id, name="c").unmet) == ("succeeded", 0)


def test_a_node_waits_for_a_signal_which_may_come_early() -> None:
    with workflow("order") as w:
        early = w.wait_for("early")
        paid = w.wait_for("paid", timeout=60, after=[early])
        w.add(kinds.add, {"a": paid.result["sum"], "b": early.result}, after=[paid, early], name="sum")
    assert send_signal(w.id, "paid", {"sum": 40}) is False
    drain()
    assert nodes(w) == {"early": "running", "paid": "waiting", "sum": "waiting"}
    assert send_signal(Workflow.objects.get(pk=w.id), "early", 2) is True
    drain()
    assert (result(w, "sum"), state(w)) == (42, WorkflowState.SUCCEEDED)
    assert send_signal(w.id, "early", 3) is False
    with pytest.raises(InputError, match="no node of this workflow waits for 'payd'; did you mean 'paid'"):
        send_signal(w.id, "payd")


def test_a_signal_that_does_not_come_in_time_fails_its_node_and_a_sleep_ends() -> None:
    with workflow("order") as w:
        slept = w.sleep(60)
        paid = w.wait_for("paid", timeout=3600, after=[slept])
        w.add(kinds.noop, after=[paid], name="ships")
        w.add(kinds.noop, after=[paid.failed], name="reminds")
        w.sleep(timezone.now() + 3 * HOUR, name="until")
    run()
    assert nodes(w) == {
        "sleep": "succeeded",
        "paid": "failed",
        "ships": "skipped",
        "reminds": "succeeded",
        "until": "succeeded",
    }
