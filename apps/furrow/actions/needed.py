"""Needed: ended jobs whose results others will ask for: nobody deletes them before."""

import uuid
from collections.abc import Collection

from furrow.models import Job, Node, Step, Workflow
from furrow.models.step import Sort
from furrow.states import WorkflowState


def needed(jobs: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these jobs whose workflow goes on, or one that it is inside of; and those that a handler called which has not
    read their results."""
    rows = Job.objects.filter(pk__in=jobs, node__isnull=False).values_list("pk", "node")
    node_of = {job: node for job, node in rows if node is not None}
    if not node_of:
        return set()
    flow_of = dict(Node.objects.filter(pk__in=set(node_of.values())).values_list("pk", "workflow"))
    going = _going(set(flow_of.values()))
    return {job for job, node in node_of.items() if node in flow_of and flow_of[node] in going}


def _going(flows: set[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these workflows, each with the ones that it is inside of, that are asked for."""
    outer = {flow: flow for flow in flows}  # the outermost one that is known
    going = set[uuid.UUID]()
    while outer:
        level = set(outer.values())
        rows = {
            pk: (state, parent)
            for pk, state, parent in Workflow.objects.filter(pk__in=level).values_list("pk", "state", "parent")
        }
        called = Step.objects.filter(sort=Sort.CALL, finished_at=None, awaits__in=[flow.hex for flow in level])
        asked = {uuid.UUID(flow) for flow in called.values_list("awaits", flat=True)}
        asked |= {flow for flow, (state, _) in rows.items() if state == WorkflowState.RUNNING}
        going |= {flow for flow, outermost in outer.items() if outermost in asked}
        parents = {flow: parent for flow, (_, parent) in rows.items() if parent is not None}
        above = dict(Node.objects.filter(pk__in=parents.values()).values_list("pk", "workflow"))
        outer = {
            flow: above[parents[outermost]]
            for flow, outermost in outer.items()
            if flow not in going and parents.get(outermost) in above
        }
    return going
