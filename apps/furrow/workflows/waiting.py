"""Waiting for the end of a workflow."""

import time
import uuid
from typing import Any

from furrow.errors import WorkflowError, WorkflowFailed
from furrow.models import Job, Node, Workflow
from furrow.states import NodeState, State, WorkflowState
from furrow.workflows.batches import Batch
from furrow.workflows.builder import Builder
from furrow.workflows.references import result_of, source
from furrow.workflows.results import Results

#: Seconds between two looks, at first and at most.
FIRST, LONGEST = 0.02, 0.5


def wait(workflow: "Builder | Batch | Workflow | uuid.UUID | str", timeout: float | None = None) -> Any:
    """Wait until a workflow has ended, and return its result: that of the node that was named as its ``result``, of a node of
    many jobs as :class:`Results`. Looks, and holds the calling thread meanwhile; within a job let a node wait instead.

    Args:
        workflow: one, or its id.
        timeout: seconds; ``None``: however long it takes.

    Raises:
        WorkflowFailed: it failed or was cancelled; the text says at which nodes, and why.
        TimeoutError: it has not ended in time.
        WorkflowError: there is none.
    """
    id = workflow if isinstance(workflow, uuid.UUID | str) else workflow.id
    end = None if timeout is None else time.monotonic() + timeout
    pause = FIRST
    while True:
        row = Workflow.objects.filter(pk=id).first()
        if row is None:
            raise WorkflowError(f"There is no workflow {id}.")
        if row.state != WorkflowState.RUNNING:
            break
        if end is not None and time.monotonic() + pause > end:
            raise TimeoutError(f"The workflow {row.name!r} has not ended within {timeout:g} s.")
        time.sleep(pause)
        pause = min(LONGEST, pause * 1.5)
    if row.state == WorkflowState.SUCCEEDED:
        return None if row.result_node is None else _result(row.result_node)
    raise WorkflowFailed(f"{row.name!r} {_became(row)}: {'; '.join(_reasons(row)) or 'no node says why'}")


def _result(node: uuid.UUID) -> Any:
    many = Node.objects.filter(pk=node, sort__in=[Node.Sort.MAP, Node.Sort.BATCH])
    return Results(source(node)) if many.exists() else result_of(node)


def _became(row: Workflow) -> str:
    return "failed" if row.state == WorkflowState.FAILED else "was cancelled"


def _reasons(row: Workflow) -> list[str]:
    """Of the first nodes that did not end well."""
    reasons = []
    for node in Node.objects.filter(workflow=row, state__in=[NodeState.FAILED, NodeState.CANCELLED]).order_by("position")[:3]:
        jobs = Job.objects.filter(node=node.pk, state__in=[State.FAILED, State.CANCELLED])
        error = jobs.order_by("pk").values_list("error", flat=True).first()
        reasons.append(f"{node.name}: {error or node.state}")
    return reasons
