"""Approvals: look at them, decide one."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from ninja import Router

from furrow.api.approval_shapes import ApprovalPage, ApprovalShape, Approving, Rejecting
from furrow.api.auth import Caller, caller, needs
from furrow.api.jobs import Limit
from furrow.approvals import deciding
from furrow.diagnosis.approvals_as_json import approval_json
from furrow.errors import InputError
from furrow.models import Approval
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.web.problems import Refused

router = Router(auth=needs(Scope.READ), tags=["approvals"])
_MAY_ACT = needs(Scope.ACT)


@router.get("/approvals", response=ApprovalPage, operation_id="list_approvals")
def list_approvals(request: HttpRequest, show: str = "open", limit: Limit = 30, after: uuid.UUID | None = None) -> Any:
    """The newest approvals: ``mine`` (open ones that the user may decide), ``open``, ``decided``, ``closed`` (undecided) or
    ``all``."""
    who = caller(request)
    rows = deciding.select(show, who.user, _seen_by(who))
    found = list((rows.filter(pk__lt=after) if after else rows).order_by("-pk")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    given = {name: value for name, value in request.GET.items() if name != "after"}
    return {
        "approvals": [approval_json(one) for one in found],
        "next": f"{request.path}?{urlencode({**given, 'after': found[-1].pk})}" if more else None,
    }


@router.get("/approvals/{approval_id}", response=ApprovalShape, operation_id="get_approval")
def get_approval(request: HttpRequest, approval_id: uuid.UUID) -> Any:
    """An approval; ``form`` is the JSON schema of its answers."""
    return approval_json(_find(caller(request), approval_id))


@router.post("/approvals/{approval_id}/approve", auth=_MAY_ACT, response=ApprovalShape, operation_id="approve")
def approve(request: HttpRequest, approval_id: uuid.UUID, given: Approving | None = None) -> Any:
    """Approve, with the answers to the form if it has one: the job goes on. 409 when it cannot be decided any more."""
    return _decide(request, approval_id, True, given.note if given else "", given.answers if given else None)


@router.post("/approvals/{approval_id}/reject", auth=_MAY_ACT, response=ApprovalShape, operation_id="reject")
def reject(request: HttpRequest, approval_id: uuid.UUID, given: Rejecting | None = None) -> Any:
    """Reject. 409 when it cannot be decided any more."""
    return _decide(request, approval_id, False, given.note if given else "", None)


def _decide(request: HttpRequest, approval_id: uuid.UUID, approved: bool, note: str, answers: Any) -> Any:
    who = caller(request)
    found = _find(who, approval_id)
    try:
        done = deciding.decide(
            found, by=who.user, approved=approved, note=note, answers=answers, origin=Origin.API, token=who.named
        )
    except InputError as error:
        if "approval" in error.fields:
            raise Refused(409, f"Nothing was decided: {error.fields['approval']}.") from None
        raise Refused(422, str(error), {f"answers.{name}": text for name, text in error.fields.items()}) from None
    return approval_json(done)


def _find(who: Caller, approval_id: uuid.UUID) -> Approval:
    """Raises Http404: there is none, or who asks may not see it."""
    found = _seen_by(who).filter(pk=approval_id).first()
    if found is None:
        raise Http404(f"There is no approval {approval_id}; they are deleted with their jobs.")
    return found


def _seen_by(who: Caller) -> QuerySet[Approval]:
    """What who asks may see, of the jobs of the token's kinds. Raises Refused (403): none at all."""
    needed = "furrow.view_approval, or the permission that one asks for"
    who.must(deciding.may_see_approvals(who.user), "see approvals", needed)
    rows = deciding.seen_by(who.user, Approval.objects.all())
    return rows.filter(job__kind__in=who.kinds) if who.kinds else rows
