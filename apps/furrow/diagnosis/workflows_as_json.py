"""Workflows as JSON, with their nodes and edges: for commands, programs and pages."""

import uuid
from collections.abc import Collection
from typing import Any

from furrow.diagnosis.as_json import utc
from furrow.diagnosis.explain import situation, why
from furrow.diagnosis.wording import relative
from furrow.diagnosis.workflows import why_node
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.users import find_user
from furrow.statements import clock
from furrow.states import NodeState, State

#: Nodes whose job is asked why it does not run yet.
ASKED = 10


def workflow_json(workflow: Workflow) -> dict[str, Any]:
    """A workflow; times are ISO 8601 in UTC or null."""
    times = ("created_at", "expires_at", "paused_at", "cancel_requested_at", "finished_at")
    user = find_user(workflow.submitted_by_id)
    return {
        "id": workflow.pk,
        "name": workflow.name,
        "state": workflow.state,
        "reason": workflow.reason,
        "inside": workflow.parent,
        "fork_of": workflow.fork_of,
        "submitted_by": user.get_username() if user else None,
        **{name: utc(getattr(workflow, name)) for name in times},
    }


def whole_workflow_json(workflow: Workflow) -> dict[str, Any]:
    """A workflow with its nodes, in the order in which they were added, and its edges."""
    nodes = list(workflow.nodes.order_by("position", "pk"))
    edges = list(Edge.objects.filter(workflow=workflow).order_by("pk"))
    by_id = {node.pk: node for node in nodes}
    before: dict[uuid.UUID, list[Edge]] = {}
    for edge in edges:
        before.setdefault(edge.child, []).append(edge)
    jobs, whys = _first_jobs(nodes), _whys(nodes)
    parts = [node.pk for node in nodes if node.sort == Node.Sort.WORKFLOW]
    inner = dict(Workflow.objects.filter(parent__in=parts).values_list("parent", "pk"))
    result = by_id.get(workflow.result_node) if workflow.result_node else None
    return {
        **workflow_json(workflow),
        "result_node": result.name if result else None,
        "nodes": [
            {
                **node_json(node),
                "job": jobs.get(node.pk),
                "workflow": inner.get(node.pk),
                "why": why_node(node, workflow, before.get(node.pk, []), by_id) or whys.get(node.pk, ""),
            }
            for node in nodes
        ],
        "edges": [
            {"parent": by_id[edge.parent].name, "child": by_id[edge.child].name, "condition": edge.condition, "met": edge.met}
            for edge in edges
            if edge.parent in by_id and edge.child in by_id
        ],
    }


def node_json(node: Node) -> dict[str, Any]:
    """A node: ``open``, ``failed`` and ``cancelled`` count its jobs; ``seconds``: from when it was let go until it ended."""
    took = (node.finished_at - node.let_go_at).total_seconds() if node.finished_at and node.let_go_at else None
    return {
        "id": node.pk,
        "name": node.name,
        "sort": node.sort,
        "role": node.role,
        "kind": node.kind,
        "state": node.state,
        **{name: getattr(node, name) for name in ("jobs", "open", "failed", "cancelled", "result_of")},
        "let_go_at": utc(node.let_go_at),
        "finished_at": utc(node.finished_at),
        "seconds": took if took is None or node.result_of is None else None,
    }


def _first_jobs(nodes: Collection[Node]) -> dict[uuid.UUID, uuid.UUID]:
    """Of nodes that are one job: it."""
    ones = {node.result_of or node.pk: node.pk for node in nodes if node.sort == Node.Sort.JOB}
    rows = Job.objects.filter(node__in=list(ones)).order_by().values_list("node", "pk")
    return {ones[node]: pk for node, pk in rows if node is not None}


def _whys(nodes: Collection[Node]) -> dict[uuid.UUID, str]:
    """Of the first nodes that were let go and whose one job does not run: why."""
    let_go = [node.pk for node in nodes if node.sort == Node.Sort.JOB and node.state == NodeState.RUNNING]
    jobs = Job.objects.filter(node__in=let_go).exclude(state=State.RUNNING).defer("result").order_by("pk")[:ASKED]
    found, now = dict[uuid.UUID, str](), clock.now()
    for job in jobs:
        reason = why(job, situation(job, now), now)
        if reason is not None and job.node is not None:
            when = f" {relative(reason.when, now)}" if reason.when else ""
            found[job.node] = f"{reason.text}{when}"
    return found
