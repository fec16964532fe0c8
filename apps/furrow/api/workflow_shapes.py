"""The bodies of requests and answers about workflows, as the document shows them."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from furrow.api.shapes import Given, Options, Time, said

#: Nodes of one request.
MOST_NODES = 10_000


class Reference(Given):
    """The result of an earlier node: of one job, or a part of it; of many jobs, all of them."""

    node: str
    path: list[str | int] = Field(default_factory=list, max_length=20, description="Keys and indexes of a part.")


class WaitsFor(Given):
    """A node that is waited for, and for what of it."""

    node: str
    condition: Literal["success", "end", "failure", "first failure"] = "success"


class FollowUp(Given):
    """A job that follows: what takes a node back, or what is done when a workflow has failed."""

    kind: str
    arguments: Annotated[Any, said("The handler's arguments by name.", "object")] = Field(default_factory=dict)
    results: dict[str, Reference] = Field(
        default_factory=dict, description="Of a compensation: arguments that are results of its node."
    )


class OneNode(Options):
    """A node: a job, or with ``rows`` many of one kind."""

    kind: str
    name: str = Field("", max_length=200, description="Unique in the workflow. Default: the kind's last name.")
    arguments: Annotated[Any, said("The handler's arguments by name; with rows: those that all jobs share.", "object")] = Field(
        default_factory=dict
    )
    rows: list[Any] | None = Field(
        None, max_length=10_000, json_schema_extra={"items": {"type": "object"}}, description="Arguments, a job each."
    )
    results: dict[str, Reference] = Field(default_factory=dict, description="Arguments that are results of earlier nodes.")
    after: list[str | WaitsFor] = Field(default_factory=list, description="Earlier nodes; a name alone waits for the success.")
    compensation: FollowUp | None = Field(None, description="What takes it back when the workflow fails; not of rows.")


class OneWorkflow(Given):
    """A workflow to be submitted."""

    name: str = Field(min_length=1, max_length=200)
    nodes: list[OneNode] = Field(min_length=1, max_length=MOST_NODES)
    result: str | None = Field(
        None, description="The node whose result is the workflow's. Default: the last that none waits for."
    )
    on_failure: FollowUp | None = Field(None, description="What is done when the workflow has failed or was cancelled.")
    expires: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Cancel it if it has not ended in so many seconds."
    )


class OneBatch(Given):
    """A batch to be opened, and what follows: when all of its jobs have succeeded, when all have ended, when one has failed."""

    name: str = Field(min_length=1, max_length=200)
    on_success: FollowUp | None = None
    on_complete: FollowUp | None = None
    on_first_failure: FollowUp | None = None


class MoreJobs(Options):
    """Jobs of one kind that are added to an open batch."""

    kind: str
    rows: list[Any] = Field(
        min_length=1, max_length=10_000, json_schema_extra={"items": {"type": "object"}}, description="Arguments, a job each."
    )


class Added(BaseModel):
    """How many jobs were added."""

    workflow: uuid.UUID
    added: int


class Cancelling(Given):
    """Why a workflow is cancelled."""

    reason: str = Field("", max_length=500)


class Forking(Given):
    """From which node on a workflow is repeated, and with which arguments of that node."""

    node: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class WorkflowShape(BaseModel):
    """A workflow. ``inside``: the node of another workflow that it is; ``fork_of``: the one that it repeats."""

    id: uuid.UUID
    name: str
    state: str
    reason: str
    inside: uuid.UUID | None
    fork_of: uuid.UUID | None
    submitted_by: str | None
    created_at: Time | None
    expires_at: Time | None
    paused_at: Time | None
    cancel_requested_at: Time | None
    finished_at: Time | None


class NodeShape(BaseModel):
    """A node. ``open``, ``failed`` and ``cancelled`` count its ``jobs``; ``why`` says why it waits or did not run; ``job`` is
    its one job, ``workflow`` the workflow that it is."""

    id: uuid.UUID
    name: str
    sort: str
    role: str
    kind: str
    state: str
    jobs: int
    open: int
    failed: int
    cancelled: int
    result_of: uuid.UUID | None
    let_go_at: Time | None
    finished_at: Time | None
    seconds: float | None
    job: uuid.UUID | None
    workflow: uuid.UUID | None
    why: str


class EdgeShape(BaseModel):
    """That a node waits for another; ``met`` is null while nothing is known yet."""

    parent: str
    child: str
    condition: str
    met: bool | None


class WholeWorkflow(WorkflowShape):
    """A workflow with its nodes, in the order in which they were added, and its edges."""

    result_node: str | None
    nodes: list[NodeShape]
    edges: list[EdgeShape]


class WorkflowPage(BaseModel):
    """Workflows, newest first; ``next`` is an address."""

    workflows: list[WorkflowShape]
    next: str | None
