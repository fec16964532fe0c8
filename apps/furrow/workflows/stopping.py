"""The end of workflows that were cancelled, by the engine: what has not begun ends, what runs is asked to stop."""

import uuid

from django.db.models import Q
from django.db.models.functions import Now

from furrow.actions.jobs import cancel
from furrow.models import Job, Node, Workflow
from furrow.statements import clock
from furrow.states import FINAL, UNENDED, State, WorkflowState
from furrow.workflows.moves import look_at

#: How the reason begins of what was stopped when its node was skipped.
SKIPPED = "skipped: "
#: Jobs that one round stops of a node: dispatch waits for it.
AT_ONCE = 2_000


def is_stopping(node: Node) -> bool:
    """It is of a workflow that was cancelled and has not ended. What is there for the failure of a workflow still runs."""
    workflow = node.workflow
    return workflow.cancel_requested_at is not None and workflow.state == WorkflowState.RUNNING and not node.role


def was_skipped(node: Node) -> bool:
    """The workflow that a node is was stopped when the node was skipped, or is being stopped so."""
    stopped = Workflow.objects.filter(parent=node.pk, cancel_requested_at__isnull=False, reason__startswith=SKIPPED)
    return stopped.exists()


def begin(workflow: Workflow, reason: str) -> None:
    """From now on the engine stops whatever there is of this locked workflow."""
    now = clock.now()
    Workflow.objects.filter(pk=workflow.pk).update(cancel_requested_at=now, reason=reason[:500], paused_at=None)
    look_at(Node.objects.filter(workflow=workflow, state__in=UNENDED).order_by().values_list("pk", flat=True).iterator())


def stop(node: Node, room: int) -> tuple[int, bool]:
    """Stop at most so many jobs of a node of a cancelled workflow; returns how many, and whether that were all."""
    reason = node.workflow.reason
    if node.sort == Node.Sort.WORKFLOW:
        return 0, stop_inner(node, reason)
    if node.sort == Node.Sort.BATCH and node.closed_at is None:
        Node.objects.filter(pk=node.pk).update(closed_at=Now())
        node.closed_at = clock.now()
        node.open -= 1
    if not node.open:
        return 0, True
    left = Job.objects.filter(~Q(state=State.RUNNING) | Q(cancel_requested_at=None), node=node.pk).exclude(state__in=FINAL)
    ids: list[uuid.UUID] = list(
        left.select_for_update(skip_locked=True).values_list("pk", flat=True)[: max(0, min(room, AT_ONCE))]
    )
    if ids:
        cancel(ids, reason=reason)
    return len(ids), not left.exists()


def stop_inner(node: Node, reason: str) -> bool:
    """Stop the workflow that a node is; ``False``: another has locked it."""
    inner = Workflow.objects.filter(parent=node.pk, state=WorkflowState.RUNNING, cancel_requested_at=None)
    for one in inner.select_for_update(skip_locked=True):
        begin(one, reason)
    return not inner.exists()
