"""What a person may see of workflows, and do to them."""

import uuid

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest

from furrow.actions.permissions import may_see
from furrow.models import Node, Workflow
from furrow.models.audit_entry import Origin
from furrow.states import NodeState, WorkflowState
from furrow.workflows import people


def find(request: HttpRequest, id: uuid.UUID | str) -> Workflow:
    """The workflow, if this user may see it.

    Raises:
        PermissionDenied, Http404: the latter also for what is no UUID.
    """
    if not may_see(request.user, "workflow"):
        raise PermissionDenied
    try:
        workflow = Workflow.objects.filter(pk=uuid.UUID(str(id))).first()
    except ValueError:
        raise Http404(f"{id!r} is not the id of a workflow.") from None
    if workflow is None:
        raise Http404(f"There is no workflow {id}; those that ended long ago are deleted with their jobs.")
    return workflow


def person(request: HttpRequest) -> people.Person:
    """Who asks."""
    return people.Person(request.user, request.user, Origin.ADMIN)


def may_act(request: HttpRequest, workflow: Workflow) -> bool:
    """May act on this one, with all kinds that are in it."""
    who = person(request)
    return who.may_act() and not people.forbidden([workflow.pk], who)


def offered(workflow: Workflow) -> list[str]:
    """The actions that can change this workflow now."""
    return [action for action in people.ACTIONS if changeable(action, Workflow.objects.filter(pk=workflow.pk)).exists()]


def changeable(action: str, rows: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Those of these workflows that the action can change now."""
    goes_on = Q(state=WorkflowState.RUNNING, cancel_requested_at=None)
    if action == "restart":
        broken = Node.objects.filter(workflow=OuterRef("pk"), state__in=[NodeState.FAILED, NodeState.CANCELLED], result_of=None)
        ended = Q(state__in=[WorkflowState.FAILED, WorkflowState.CANCELLED])
        return rows.filter(ended | goes_on).filter(Exists(broken))
    wanted = {"cancel": goes_on, "pause": goes_on & Q(paused_at=None), "resume": Q(paused_at__isnull=False)}
    return rows.filter(wanted[action])
