"""A workflow is deleted whole: its jobs, the workflows that are nodes of it, and last its own rows."""

import uuid

from furrow.actions.jobs import delete
from furrow.models import Edge, Job, Move, Node, Workflow
from furrow.models.database import atomic
from furrow.states import FINAL, WorkflowState


def delete_workflow(id: uuid.UUID, limit: int) -> tuple[int, bool]:
    """Delete up to so many jobs of an ended workflow, and all else of it when none is left. Returns how many jobs, and whether
    it is gone. What runs again meanwhile stays, and what has forks, which have results of it."""
    with atomic():
        workflow = Workflow.objects.select_for_update(skip_locked=True).filter(pk=id).first()
        if workflow is None or workflow.state == WorkflowState.RUNNING:
            return 0, False
        flows = [id]
        for flow in flows:  # grows
            flows += Workflow.objects.filter(parent__in=Node.objects.filter(workflow=flow).values("pk")).values_list(
                "pk", flat=True
            )
        if Workflow.objects.filter(fork_of__in=flows).exists():
            return 0, False
        nodes = Node.objects.filter(workflow__in=flows)
        jobs = Job.objects.filter(node__in=nodes.values("pk"))
        deleted = delete(list(jobs.filter(state__in=FINAL).values_list("pk", flat=True)[:limit]))
        if deleted == limit or jobs.exists():
            return deleted, False
        Move.objects.filter(node__in=nodes.values("pk")).delete()
        Edge.objects.filter(workflow__in=flows).delete()
        nodes.delete()
        Workflow.objects.filter(pk__in=flows).delete()
        return deleted, True
