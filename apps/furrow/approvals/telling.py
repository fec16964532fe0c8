"""Events of approvals: ``approval.<permission>.asked``, ``approved``, ``rejected``, ``expired``, while somebody wants them."""

from furrow.events.telling import tell, word
from furrow.models import Approval


def tell_of(approval: Approval, event: str) -> None:
    """This happened to it, in the current transaction. Answers and description are not told: they may be confidential."""
    data = {
        "approval": approval.pk,
        "title": approval.title,
        "permission": approval.permission,
        "job": approval.job_id,
        "workflow": approval.workflow,
        "timeout_at": approval.timeout_at,
        "by": approval.decider or None,
        "note": approval.note,
    }
    tell("approval", [(f"{word(approval.permission)}.{event}", data)])
