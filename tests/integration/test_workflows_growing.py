"""Workflows to which their own jobs add."""

from contextlib import nullcontext

import pytest
from django.db import transaction
from django.utils import timezone
from furrow import (
    Job,
    WorkflowError,
    current_workflow,
    submit,
    workflow,
)
from furrow.context import _run
from furrow.errors import StaleRun
from furrow.models import Node
from furrow.states import NodeState, State, WorkflowState
from furrow.worker.child.current import Run

from tests import kinds
from tests.kinds import flows
from tests.rows import WORKER
from tests.workflows import nodes, run, state

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


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
