"""Tools for workflows: find them, look at one, act on them."""

import uuid
from typing import Annotated, Literal

from pydantic import Field

from furrow.assistant.doing import MOST
from furrow.assistant.told import told
from furrow.assistant.tools import Answer, Asked, tool
from furrow.command import workflows
from furrow.command.actor import Actor
from furrow.plural import counted

#: Workflows in one answer, and nodes of one.
WORKFLOWS, NODES = 100, 200
#: What tells most: nodes in these states are shown first.
_FIRST = ("failed", "running", "waiting", "cancelled", "skipped", "dormant", "succeeded")


class Which(Asked):
    """Conditions."""

    state: Annotated[str, Field(description="running, paused, succeeded, failed or cancelled")] = ""
    search: Annotated[str, Field(description="with this in their name")] = ""
    limit: Annotated[int, Field(ge=1, le=WORKFLOWS, description="how many workflows")] = 20


@tool("read")
def find_workflows(actor: Actor, asked: Which) -> Answer:
    """The newest workflows (jobs that wait for each other), but for those inside others. Times are ISO 8601 in UTC."""
    return Answer(told(workflows.run, actor, act="list", ids=[], **asked.model_dump()))


class OneWorkflow(Asked):
    """A workflow."""

    id: Annotated[uuid.UUID, Field(description="the workflow's id")]


@tool("read")
def show_workflow(actor: Actor, asked: OneWorkflow) -> Answer:
    """One workflow with its nodes, what they wait for (edges), and why each waits or did not run."""
    found = told(workflows.run, actor, act="show", ids=[str(asked.id)])
    nodes = sorted(found["nodes"], key=lambda node: _FIRST.index(node["state"]))
    shown = {node["name"] for node in nodes[:NODES]}
    found["nodes"] = [node for node in found["nodes"] if node["name"] in shown]
    found["edges"] = [edge for edge in found["edges"] if edge["parent"] in shown and edge["child"] in shown]
    more = len(nodes) - len(shown)
    return Answer(found, [f"{counted(more, 'more node')}, of those that succeeded first, left out"] if more else [])


class Act(Asked):
    """What to do, and to which."""

    action: Annotated[Literal["cancel", "pause", "resume", "restart"], Field(description="restart: run again what failed")]
    ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MOST, description="ids of workflows")]
    reason: Annotated[str, Field(max_length=500, description="of a cancel")] = ""


@tool("act", destructive=True)
def act_on_workflows(actor: Actor, asked: Act) -> Answer:
    """Cancel workflows (running jobs are asked to stop), pause them (nothing more is let go), resume them, or restart them:
    what failed or was cancelled runs again, and what waited for it."""
    return Answer(told(workflows.run, actor, act=asked.action, ids=list(map(str, asked.ids)), reason=asked.reason))
