"""Workflows, on both databases: what is written, what follows from the ends of jobs."""

from typing import Any

import pytest
from django.db import connection, transaction
from furrow import (
    ArgumentError,
    Job,
    OptionError,
    WorkflowError,
    statements,
    submit,
    workflow,
)
from furrow.actions.jobs import cancel, delete, retry
from furrow.diagnosis.as_json import job_json
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.lost_jobs import LostJobs
from furrow.kinds.secret import MASK
from furrow.models import Edge, Move, Node, Workflow
from furrow.states import NodeState, State, WorkflowState
from furrow.testing import drain
from furrow.workflows.advance import advance
from furrow.workflows.forking import fork
from furrow.workflows.moves import look_at

from tests import kinds
from tests.kinds import flows
from tests.workflows import nodes, result, run, state

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


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


def test_a_workflow_goes_on_whose_nodes_or_jobs_somebody_deleted_past_the_engine() -> None:
    with workflow("gone") as gone, workflow("w") as w:
        gone.add(kinds.noop)
        lost = w.map(kinds.noop, [{}] * 3, name="lost")
        w.add(kinds.noop, after=[lost.ended], name="after")
    look_at(Node.objects.values_list("pk", flat=True))
    Node.objects.filter(workflow=gone.id).delete()
    statements.on(connection).unfollow_nodes(connection)
    Job.objects.filter(node=lost.id).delete()
    statements.on(connection).follow_nodes(connection)
    leads = Leadership()
    assert leads.hold()
    for _ in range(3):
        advance(leads.term or 0)
    assert not Move.objects.exists()
    assert (LostJobs(leads).run_once(), LostJobs(leads).run_once()) == (1, 0)
    leads.resign()
    run()
    assert (nodes(w), Workflow.objects.get(pk=w.id).state) == ({"lost": "cancelled", "after": "succeeded"}, "cancelled")
