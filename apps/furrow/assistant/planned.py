"""Tools for what is planned or waits for people: schedules, approvals. None approves or rejects: people do (decision 0033)."""

from typing import Annotated, Literal

from pydantic import Field

from furrow.assistant.told import told
from furrow.assistant.tools import Answer, Asked, tool
from furrow.command import approvals
from furrow.command.actor import Actor
from furrow.command.schedules_here import SchedulesHere
from furrow.plural import counted

#: Schedules, and approvals, in one answer.
MOST = 100


class Which(Asked):
    """Conditions."""

    condition: Annotated[str, Field(description="on, paused, held (it cannot submit), orphaned or over; empty: any")] = ""
    search: Annotated[str, Field(description="with this in their name or kind")] = ""
    limit: Annotated[int, Field(ge=1, le=MOST, description="how many schedules")] = 50


@tool("read")
def find_schedules(actor: Actor, asked: Which) -> Answer:
    """Schedules, by their names: when each comes, when next, and why it does not where it does not."""
    found = [
        one
        for one in SchedulesHere(actor).schedules()
        if asked.condition in ("", one["condition"]) and asked.search.lower() in f"{one['name']} {one['kind']}".lower()
    ]
    more = len(found) - asked.limit
    return Answer(found[: asked.limit], [f"{counted(more, 'more schedule')}: narrow it with search"] if more > 0 else [])


class Named(Asked):
    """A schedule."""

    name: Annotated[str, Field(description="the schedule's name")]


@tool("read")
def show_schedule(actor: Actor, asked: Named) -> Answer:
    """One schedule with its next times, and what became of the last twenty (its job's state, skipped, missed)."""
    return Answer(SchedulesHere(actor).schedule(asked.name))


class Approvals(Asked):
    """Which."""

    show: Annotated[
        Literal["mine", "open", "decided", "closed", "all"],
        Field(description="mine: open ones that this user may decide; closed: over without a decision"),
    ] = "open"
    limit: Annotated[int, Field(ge=1, le=MOST, description="how many approvals")] = 20


@tool("read")
def find_approvals(actor: Actor, asked: Approvals) -> Answer:
    """What waits for a person's decision, and what was decided, the newest first. Only people decide, in the admin."""
    return Answer(told(approvals.approvals, actor, **asked.model_dump()))


class Act(Named):
    """What to do."""

    action: Annotated[Literal["pause", "resume"], Field(description="times of a pause are not caught up")]
    reason: Annotated[str, Field(max_length=500, description="of a pause: shown wherever the schedule is")] = ""


@tool("act", destructive=True)
def act_on_schedule(actor: Actor, asked: Act) -> Answer:
    """Pause a schedule, so that it fires no more, or let it go on."""
    changed = SchedulesHere(actor).act(asked.action, asked.name, asked.reason)
    return Answer({"schedule": asked.name, "action": asked.action, "changed": changed})


@tool("submit")
def run_schedule(actor: Actor, asked: Named) -> Answer:
    """Submit a schedule's job now, whatever its times say. Called twice, it submits two."""
    return Answer({"schedule": asked.name, "job": SchedulesHere(actor).run(asked.name)})
