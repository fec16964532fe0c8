"""Approvals as JSON, for commands and programs."""

from typing import Any

from furrow.approvals.deciding import condition
from furrow.diagnosis.as_json import utc
from furrow.models import Approval, Job
from furrow.models.users import find_user
from furrow.statements import clock


def approval_json(approval: Approval) -> dict[str, Any]:
    """An approval; ``answers`` are ``null`` where there is no form, whose JSON schema is ``form``."""
    state = Job.objects.filter(pk=approval.job_id).values_list("state", flat=True).first() or ""
    user = find_user(approval.asked_by_id)
    return {
        "id": approval.pk,
        "title": approval.title,
        "description": approval.description,
        "state": condition(approval, state, clock.now()),
        "permission": approval.permission,
        "second_person": approval.second_person,
        "submitted_by": user.get_username() if user else None,
        "job": approval.job_id,
        "workflow": approval.workflow,
        "form": approval.schema,
        **{name: utc(getattr(approval, name)) for name in ("created_at", "timeout_at", "decided_at")},
        "decided_by": approval.decider or None,
        "note": approval.note,
        "answers": approval.answers,
    }
