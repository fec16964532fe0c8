"""What follows when a workflow or a batch ends: compensations, callbacks, its result, its deletion."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from furrow import (
    Batch,
    Job,
    WorkflowError,
    WorkflowFailed,
    batch,
    wait,
    workflow,
)
from furrow.actions.jobs import retry
from furrow.dispatcher.prune import Prune
from furrow.models import Edge, Move, Node, Workflow
from furrow.states import State, WorkflowState
from furrow.testing import drain
from pytest_django import Settings

from tests import kinds
from tests.kinds import flows
from tests.rows import HOUR
from tests.stack import wait_until
from tests.workflows import nodes, result, run, state

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


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
