"""Tools that act on jobs and queues, and that submit: the command line's functions, so with the same permissions and audit."""

import datetime as dt
import json
import uuid
from typing import Annotated, Any

from django.core.management.base import CommandError
from pydantic import Field

from furrow.actions.audit import audit
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.file_field import FileField
from furrow.assistant.told import told
from furrow.assistant.tools import Answer, Asked, tool
from furrow.command import acting, submitting
from furrow.command.actor import Actor
from furrow.kinds.kind import get_kind
from furrow.models.database import atomic

#: Jobs in one call. What is done to more is a bulk action, which a person starts.
MOST = 100


class Some(Asked):
    """Jobs by their ids."""

    ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MOST, description="ids of jobs")]


def _act(command: str, actor: Actor, asked: Some, value: Any = None) -> Answer:
    found = told(acting.COMMANDS[command][1], actor, ids=list(map(str, asked.ids)), value=value)
    if found["left_alone"]:
        found["why_left_alone"] = f"they {acting.ACTIONS[command][2]}, do not exist, or are of a kind that you may not act on"
    return Answer(found)


@tool("act", destructive=True)
def cancel_jobs(actor: Actor, asked: Some) -> Answer:
    """Cancel jobs. One that has not begun ends at once; a running one is asked to stop."""
    return _act("cancel", actor, asked)


@tool("act")
def retry_jobs(actor: Actor, asked: Some) -> Answer:
    """Run ended jobs again, due now. What they did before they do again."""
    return _act("retry", actor, asked)


@tool("act")
def run_jobs_now(actor: Actor, asked: Some) -> Answer:
    """Make scheduled jobs due now."""
    return _act("run-now", actor, asked)


class Later(Some):
    """Until when."""

    until: Annotated[dt.datetime, Field(description="when they become due, ISO 8601; without a zone, in the site's")]


@tool("act")
def snooze_jobs(actor: Actor, asked: Later) -> Answer:
    """Postpone jobs that have not begun."""
    return _act("snooze", actor, asked, asked.until.isoformat())


class Named(Asked):
    """A queue."""

    queue: Annotated[str, Field(description="the queue's name")]


class Pause(Named):
    """Why."""

    reason: Annotated[str, Field(max_length=500, description="shown wherever a job of the queue waits")] = ""
    drain: Annotated[bool, Field(description="let jobs that are already in RabbitMQ run")] = False


@tool("act", destructive=True)
def pause_queue(actor: Actor, asked: Pause) -> Answer:
    """Start no more jobs of a queue, for everybody, until it is resumed."""
    return Answer(told(acting.pause, actor, queue=asked.queue, reason=asked.reason, drain=asked.drain))


@tool("act")
def resume_queue(actor: Actor, asked: Named) -> Answer:
    """Let a paused queue go on."""
    return Answer(told(acting.resume, actor, queue=asked.queue))


class Submission(Asked):
    """One job."""

    kind: Annotated[str, Field(description="a kind's name")]
    arguments: Annotated[dict[str, Any], Field(description="by name, as the kind's schema says")] = {}
    queue: Annotated[str | None, Field(description="override the kind's queue")] = None
    priority: Annotated[int | None, Field(description="0 goes first, 9 last")] = None
    countdown: Annotated[float | None, Field(description="not before so many seconds from now")] = None
    at: Annotated[dt.datetime | None, Field(description="not before this time")] = None
    expires: Annotated[float | None, Field(description="seconds after it is due: cancelled if it has not begun by then")] = None
    max_attempts: Annotated[int | None, Field(description="override the kind's own")] = None
    tags: Annotated[list[str], Field(description="short texts to find the job by")] = []


@tool("submit")
def submit_job(actor: Actor, asked: Submission) -> Answer:
    """Submit one job; its arguments are validated first. Called twice, it submits two."""
    kind = get_kind(asked.kind)
    files = [name for name, field in argument_fields(kind).items() if isinstance(field, FileField)]
    if given := next((name for name in files if asked.arguments.get(name) is not None), ""):
        raise CommandError(f"{given}: files are uploaded in the admin or on the command line. Nothing was submitted.")
    options = asked.model_dump(include={"queue", "priority", "countdown", "expires", "max_attempts"})
    options |= {"at": asked.at and asked.at.isoformat(), "tag": asked.tags}
    with atomic():
        job = told(submitting.run, actor, kind=kind.name, json_args=json.dumps(asked.arguments), **options)
        audit("submit", by=actor.by, origin=actor.origin, token=actor.token, target=f"job {kind.name}", job=job["id"])
    return Answer(job)
