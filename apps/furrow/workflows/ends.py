"""How workflows end, and what is there for their failure."""

import datetime as dt
import uuid
from collections.abc import Collection
from itertools import pairwise
from typing import Any

from django.db.models import Exists, OuterRef

from furrow.models import Edge, Job, Move, Node, Workflow
from furrow.states import UNENDED, Condition, NodeState, State, WorkflowState
from furrow.workflows.moves import batched, look_at
from furrow.workflows.telling import tell_of


def end_workflows(nodes: Collection[Node], now: dt.datetime) -> int:
    """End the workflows of these nodes, if none is left, and take up those of which one is again; returns how many."""
    turned = 0
    unfinished = Exists(Node.objects.filter(workflow=OuterRef("pk"), state__in=UNENDED))
    seen = {node.workflow_id: node.workflow for node in nodes}
    busy = {node.workflow_id for node in nodes if node.state in UNENDED}
    for part in batched([id for id, workflow in seen.items() if id not in busy or workflow.finished_at]):
        for workflow in Workflow.objects.filter(pk__in=part).annotate(unfinished=unfinished):
            if workflow.unfinished == (workflow.state == WorkflowState.RUNNING):
                continue
            state = WorkflowState.RUNNING if workflow.unfinished else _outcome(workflow)
            if not _rouse(workflow, state, now):
                _turn(workflow, state, now)
            turned += 1
    return turned


def take_up(workflow: Workflow, now: dt.datetime) -> None:
    """A node of this locked workflow, which has ended, runs again."""
    _rouse(workflow, WorkflowState.RUNNING, now)
    _turn(workflow, WorkflowState.RUNNING, now)


def _rouse(workflow: Workflow, state: WorkflowState, now: dt.datetime) -> bool:
    """What is there for the failure of a workflow: whether something of it runs now."""
    of_it = Node.objects.filter(workflow=workflow).exclude(role="")
    if state == WorkflowState.RUNNING:  # it may fail yet
        back = list(of_it.filter(state=NodeState.SKIPPED, let_go_at=None).values_list("pk", flat=True))
        Node.objects.filter(pk__in=back).update(state=NodeState.DORMANT, finished_at=None, reason="")
        wait_again(back)
        return False
    dormant = list(of_it.filter(state=NodeState.DORMANT).order_by("position"))
    subjects = Node.objects.filter(state=NodeState.SUCCEEDED).in_bulk(
        [node.compensates for node in dormant if node.compensates is not None]
    )
    line = [node for node in dormant if node.compensates in subjects]
    line.sort(key=lambda node: _when(subjects[node.compensates]), reverse=True)
    line += [node for node in dormant if node.role == Node.Role.ON_FAILURE]
    if state == WorkflowState.SUCCEEDED:
        line = []
    reason = "the workflow succeeded" if state == WorkflowState.SUCCEEDED else "what it compensates had not succeeded"
    skipped = [node.pk for node in dormant if node not in line]
    Node.objects.filter(pk__in=skipped).update(state=NodeState.SKIPPED, finished_at=now, reason=reason)
    for before, node in pairwise(line):
        Edge.objects.create(workflow=workflow, parent=before.pk, child=node.pk, condition=Condition.END)
    Node.objects.filter(pk__in=[node.pk for node in line[:1]]).update(state=NodeState.WAITING)
    Node.objects.filter(pk__in=[node.pk for node in line[1:]]).update(state=NodeState.WAITING, unmet=1)
    look_at([*skipped, *(node.pk for node in line[:1])])
    return bool(line)


def _turn(workflow: Workflow, state: WorkflowState, now: dt.datetime) -> None:
    before = workflow.state
    finished = None if state == WorkflowState.RUNNING else now
    again: dict[str, Any] = {} if finished else {"cancel_requested_at": None, "reason": "", "expires_at": None}
    Workflow.objects.filter(pk=workflow.pk).update(state=state, finished_at=finished, **again)
    if finished:
        tell_of([workflow], state, state=state)
    if workflow.parent is not None:
        change = {
            "open": (state == WorkflowState.RUNNING) - (before == WorkflowState.RUNNING),
            "failed": (state == WorkflowState.FAILED) - (before == WorkflowState.FAILED),
            "cancelled": (state == WorkflowState.CANCELLED) - (before == WorkflowState.CANCELLED),
        }
        Move.objects.create(node=workflow.parent, **change)


def _outcome(workflow: Workflow) -> WorkflowState:
    """Failed, if a node did and no other waited for its failure; cancelled, if none did and one was, or if somebody cancelled
    the workflow before all had ended."""
    handled = Exists(
        Edge.objects.filter(parent=OuterRef("pk"), condition__in=[Condition.FAILURE, Condition.FIRST_FAILURE], met=True)
    )
    nodes = Node.objects.filter(workflow=workflow)
    if workflow.cancel_requested_at is not None and nodes.filter(state=NodeState.CANCELLED).exists():
        return WorkflowState.CANCELLED
    if nodes.filter(~handled, state=NodeState.FAILED).exists():
        return WorkflowState.FAILED
    return WorkflowState.CANCELLED if nodes.filter(state=NodeState.CANCELLED).exists() else WorkflowState.SUCCEEDED


def wait_again(nodes: Collection[uuid.UUID]) -> None:
    """Jobs that were cancelled since their nodes were skipped."""
    back = Job.objects.filter(node__in=nodes, state=State.CANCELLED)
    back.update(state=State.WAITING, finished_at=None, error="", cancel_requested_at=None)


def _when(node: Node) -> tuple[dt.datetime | None, int]:
    return node.finished_at, node.position
