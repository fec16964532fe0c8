"""The bodies of requests and answers about approvals, as the document shows them."""

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, Field

from furrow.api.shapes import Given, Time, said
from furrow.approvals.deciding import LONGEST_NOTE


class Rejecting(Given):
    """A rejection."""

    note: str = Field("", max_length=LONGEST_NOTE)


class Approving(Rejecting):
    """An approval."""

    answers: Annotated[Any, said("Answers to the form, by field; null where it has none.", "object")] = None


class ApprovalShape(BaseModel):
    """An approval. ``state``: open, approved, rejected, ended (its job has) or timed out. ``form``: the JSON schema of the
    answers."""

    id: uuid.UUID
    title: str
    description: str
    state: str
    permission: str
    second_person: bool
    submitted_by: str | None
    job: uuid.UUID
    workflow: uuid.UUID | None
    form: dict[str, Any] | None
    created_at: Time | None
    timeout_at: Time | None
    decided_at: Time | None
    decided_by: str | None
    note: str
    answers: Any


class ApprovalPage(BaseModel):
    """Approvals, newest first; ``next`` is an address."""

    approvals: list[ApprovalShape]
    next: str | None
