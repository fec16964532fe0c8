"""Workflows: which there are, and why a node or a job of one waits."""

import uuid
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from furrow.diagnosis.reason import Reason
from furrow.errors import InputError, did_you_mean
from furrow.models import Edge, Job, Node, Workflow
from furrow.plural import counted
from furrow.states import Condition, NodeState, State, WorkflowState

#: Nodes that a reason names.
NAMED = 5
#: What a node waits for of another.
_FOR = {
    Condition.SUCCESS: "the success",
    Condition.END: "the end",
    Condition.FAILURE: "the failure",
    Condition.FIRST_FAILURE: "the first failure",
}


def select_workflows(*, state: str = "", q: str = "", outermost: bool = True) -> QuerySet[Workflow]:
    """Workflows, the newest first: of a state (``paused`` is one of them here), and with a name or an id.

    Raises:
        InputError: there is no such state.
    """
    rows = Workflow.objects.order_by("-pk")
    rows = rows.filter(parent=None) if outermost else rows
    if state == "paused":
        rows = rows.filter(state=WorkflowState.RUNNING, paused_at__isnull=False)
    elif state:
        if state not in list(WorkflowState):
            known = [*WorkflowState, "paused"]
            raise InputError({"state": f"{state!r:.60} is no state of a workflow; {did_you_mean(state, known)}"})
        rows = rows.filter(state=state)
    if q:
        try:
            return rows.filter(pk=uuid.UUID(q))
        except ValueError:
            rows = rows.filter(name__icontains=q.replace("\x00", ""))
    return rows


def why_node(node: Node, workflow: Workflow, edges: Iterable[Edge], nodes: dict[uuid.UUID, Node]) -> str:
    """Why a node has not begun or ended, or did not run, on one line; empty where nothing needs to be said."""
    state = NodeState(node.state)
    if node.result_of is not None:
        return "reused from the workflow that this one repeats"
    if state == NodeState.WAITING:
        return _waits(node, workflow, edges, nodes)
    if state == NodeState.DORMANT:
        return "runs when the workflow fails or is cancelled"
    if state == NodeState.RUNNING and node.jobs > 1:
        ended = node.jobs - node.open
        return f"{ended:,} of {counted(node.jobs, 'job')} {'has' if ended == 1 else 'have'} ended"
    return node.reason if state in (NodeState.SKIPPED, NodeState.CANCELLED) else ""


def _waits(node: Node, workflow: Workflow, edges: Iterable[Edge], nodes: dict[uuid.UUID, Node]) -> str:
    if workflow.cancel_requested_at is not None:
        return f"its workflow is being cancelled ({workflow.reason}): the dispatcher ends it next"
    open_edges = [edge for edge in edges if not edge.met and edge.parent in nodes]
    paused = "; its workflow is paused" if workflow.paused_at else ""
    if open_edges:
        said = [f"{_FOR[Condition(edge.condition)]} of {_named(nodes[edge.parent])}" for edge in open_edges[:NAMED]]
        more = len(open_edges) - len(said)
        return f"waits for {', '.join(said)}{f' and {more:,} more' if more else ''}{paused}"
    if workflow.paused_at:
        return "its workflow is paused: resume it"
    if node.unmet and workflow.parent is not None:
        return "waits until the node begins that its workflow is"
    return "the dispatcher lets it go next"


def _named(node: Node) -> str:
    return f"{node.name!r}, which is {node.state}"


def why_waiting(job: Job) -> Reason | None:
    """Why a job of a workflow waits."""
    found = place(job)
    if found is None:
        return None
    node, workflow = found
    if node.state != NodeState.WAITING:
        text = why_node(node, workflow, (), {}) or "the dispatcher lets it go next"
        return Reason(f"Waits in the workflow “{workflow.name}”: {text}")
    edges = list(Edge.objects.filter(Q(met=None) | Q(met=False), child=node.pk).order_by("pk"))
    parents = Node.objects.in_bulk([edge.parent for edge in edges])
    text = _waits(node, workflow, edges, parents)
    running = [pk for pk, one in parents.items() if one.state == NodeState.RUNNING]
    jobs = Job.objects.filter(node__in=running[:NAMED], state=State.RUNNING).order_by().values_list("pk", flat=True)[:NAMED]
    remedy = f"Resume the workflow {workflow.pk}." if workflow.paused_at else ""
    return Reason(f"In the workflow “{workflow.name}”: {text}", remedy=remedy, stuck=bool(remedy), jobs=tuple(jobs))


def place(job: Job) -> tuple[Node, Workflow] | None:
    """The node of a job, and its workflow; ``None`` for a job of none."""
    if job.node is None:
        return None
    node = Node.objects.filter(pk=job.node).select_related("workflow").first()
    return None if node is None else (node, node.workflow)
