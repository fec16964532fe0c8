"""Tools that look: jobs, why they wait, logs, errors, queues, workers, kinds, health."""

import uuid
from typing import Annotated, Any, Literal

from django.core.management.base import CommandError
from pydantic import Field

from furrow.actions.selection import select
from furrow.assistant.told import told
from furrow.assistant.tools import Answer, Asked, tool
from furrow.command import choosing, looking
from furrow.command.actor import Actor
from furrow.command.here import Here
from furrow.diagnosis.as_json import (
    HOUR,
    figures_json,
    job_json,
    kind_json,
    line_json,
    queue_json,
    reason_json,
    utc,
    worker_json,
)
from furrow.diagnosis.error_groups import PERIODS
from furrow.diagnosis.error_groups import error_groups as groups_of
from furrow.diagnosis.explain import living_workers, situation, why
from furrow.diagnosis.figures import queue_figures
from furrow.diagnosis.kind_figures import by_kind
from furrow.kinds.kind import all_kinds, get_kind
from furrow.models import Job, LogLine
from furrow.models.users import add_submitters
from furrow.monitoring import health as parts
from furrow.monitoring.home import Sight, facts
from furrow.statements import clock

#: Jobs in one answer, lines of a log, attempts of a job.
JOBS, LINES, ATTEMPTS = 100, 500, 20
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class OneJob(Asked):
    """A job."""

    id: Annotated[uuid.UUID, Field(description="the job's id")]


class Conditions(Asked):
    """Those of the command line, and ``fingerprint``."""

    state: Annotated[str, Field(description="waiting, pending, queued, running, succeeded, failed or cancelled")] = ""
    kind: Annotated[str, Field(description="a kind's name")] = ""
    queue: Annotated[str, Field(description="a queue's name")] = ""
    worker: Annotated[str, Field(description="a worker's id or node name: jobs that it ran last")] = ""
    by: Annotated[str, Field(description="submitted by this user")] = ""
    tag: Annotated[str, Field(description="with this tag")] = ""
    batch: Annotated[str, Field(description="the id of a batch")] = ""
    since: Annotated[str, Field(description="created since a time (ISO 8601), or in the last 90s, 15m, 2h, 7d")] = ""
    until: Annotated[str, Field(description="created before a time, or longer ago than a span")] = ""
    where: Annotated[list[str], Field(description="arguments with these values: account_id=7, customer.name=Ada")] = []
    search: Annotated[str, Field(description="text in the error, the kind or the arguments; not together with where")] = ""
    fingerprint: Annotated[str, Field(description="of a group of errors, from error_groups: jobs whose last run failed so")] = (
        ""
    )
    limit: Annotated[int, Field(ge=1, le=JOBS, description="how many jobs")] = 20
    before: Annotated[uuid.UUID | None, Field(description="only jobs older than this one: the last id of an answer")] = None


@tool("read")
def find_jobs(actor: Actor, asked: Conditions) -> Answer:
    """The newest jobs that meet all conditions, without their results. Times are ISO 8601 in UTC."""
    actor.must_view()
    chosen = choosing.criteria(asked.model_dump(), Here(actor)) | (
        {"fingerprint": asked.fingerprint} if asked.fingerprint else {}
    )
    rows = select(chosen).defer("result").order_by("-pk")
    if asked.before:
        rows = rows.filter(pk__lt=asked.before)
    found = list(rows[: asked.limit + 1])
    add_submitters(found)
    shown = found[: asked.limit]
    more = f"jobs: there are older ones; ask again with before={shown[-1].pk}" if len(found) > asked.limit else ""
    return Answer([job_json(job) for job in shown], [more] if more else [])


@tool("read")
def show_job(actor: Actor, asked: OneJob) -> Answer:
    """One job: its state, arguments, result, error, why it waits if it does, and its attempts with their tracebacks."""
    found = told(looking.show, actor, id=str(asked.id))
    attempts = found["attempts"]
    more = f"attempts: the last {ATTEMPTS} of {len(attempts):,} are shown" if len(attempts) > ATTEMPTS else ""
    return Answer({**found, "attempts": attempts[-ATTEMPTS:]}, [more] if more else [])


@tool("read")
def explain_job(actor: Actor, asked: OneJob) -> Answer:
    """Why a job has not ended: not due, paused, held by a limit, no worker, no dispatcher, … and what to do about it."""
    actor.must_view()
    job = _job(asked.id)
    now = clock.now()
    reason = why(job, situation(job, now), now)
    if reason is None:
        return Answer({"id": job.pk, "state": job.state, "why": None, "error": job.error, "finished_at": utc(job.finished_at)})
    return Answer({"id": job.pk, "state": job.state, "why": reason_json(reason), "other_jobs": reason.jobs})


class Log(OneJob):
    """Lines of a job's log."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], Field(description="this level and above")] = (
        "debug"
    )
    limit: Annotated[int, Field(ge=1, le=LINES, description="how many lines")] = 100
    before: Annotated[int | None, Field(description="only lines before this one: the number of an answer's first line")] = None


@tool("read")
def read_log(actor: Actor, asked: Log) -> Answer:
    """The last lines of a job's log, of all its attempts, in the order of logging."""
    actor.must_view()
    _job(asked.id)
    rows = LogLine.objects.filter(job=asked.id, level__gte=_LEVELS[asked.level]).order_by("-pk")
    if asked.before is not None:
        rows = rows.filter(pk__lt=asked.before)
    found = list(rows[: asked.limit + 1])
    lines = [{"line": line.pk, **line_json(line)} for line in reversed(found[: asked.limit])]
    more = f"lines: there are earlier ones; ask again with before={lines[0]['line']}" if len(found) > asked.limit else ""
    return Answer(lines, [more] if more else [])


class Period(Asked):
    """Since when, and of which kind."""

    period: Annotated[Literal["1h", "24h", "7d", "30d"], Field(description="the last hour, day, week or month")] = "24h"
    kind: Annotated[str, Field(description="of this kind alone")] = ""


@tool("read")
def error_groups(actor: Actor, asked: Period) -> Answer:
    """Runs that failed alike, by group: how often, when last, an example, where in the code, the newest failed job. The
    fingerprint of a group finds its jobs in find_jobs."""
    actor.must_view()
    groups, total = groups_of(clock.now(), PERIODS[asked.period] * 3600, [asked.kind] if asked.kind else [])
    more = f"groups: the {len(groups)} with the latest failures of {total:,} are shown" if total > len(groups) else ""
    return Answer([_group(row) for row in groups], [more] if more else [])


def _group(row: dict[str, Any]) -> dict[str, Any]:
    found = {"kind": row["kind"], "fingerprint": row["fingerprint"], "runs": row["runs"], "jobs": row["jobs"]}
    found["last"] = utc(row["last"])
    if group := row["group"]:
        found |= {"first_seen": utc(group.first_seen), "newest_job": group.newest}
        found |= {"error_type": group.error_type, "example": group.message, "place": row["place"]}
    return found


@tool("read")
def queues(actor: Actor, asked: Asked) -> Answer:
    """What stands in each queue, whether it is paused (by whom, why), who consumes it. Counts end at 10,001."""
    actor.must_view()
    return Answer([queue_json(queue) for queue in queue_figures(clock.now())])


@tool("read")
def workers(actor: Actor, asked: Asked) -> Answer:
    """The workers whose lease holds: where they run, how many processes, their queues, the last heartbeat."""
    actor.must_view()
    return Answer([worker_json(worker) for worker in living_workers(clock.now()).order_by("node")])


class Kinds(Asked):
    """All kinds, or one."""

    kind: Annotated[str, Field(description="a kind's name; empty: all, without their schemas")] = ""


@tool("read")
def kinds(actor: Actor, asked: Kinds) -> Answer:
    """The kinds of job, and how each fared in the last hour (times in seconds). With a name: that kind, with the JSON schema of
    its arguments."""
    actor.must_view()
    fared = {figures.kind: figures_json(figures) for figures in by_kind(clock.now(), HOUR)}
    found = [get_kind(asked.kind)] if asked.kind else all_kinds()
    rows = [{**kind_json(kind), "last_hour": fared.get(kind.name)} for kind in found]
    for row in rows:
        schema = row.pop("arguments")
        row |= {"schema": schema} if asked.kind else {"doc": row["doc"].partition("\n")[0]}
    return Answer(rows[0] if asked.kind else rows)


@tool("read")
def health(actor: Actor, asked: Asked) -> Answer:
    """Whether the platform works: the dispatcher, the stores, the workers, and every trouble that the admin's first page shows,
    with its remedy."""
    actor.must_view()
    sees = Sight(actor.user.has_perm if actor.user else lambda permission: True)
    troubles = facts(sees)["troubles"]
    return Answer(
        {
            "dispatcher": _said(parts.dispatcher),
            "stores": _said(parts.stores),
            "workers": living_workers(clock.now()).count(),
            "troubles": [
                {"text": one.text, "when": utc(one.when), "remedy": f"{one.remedy} {one.command}".strip(), "grave": one.grave}
                for one in troubles
            ],
        }
    )


def _said(part: Any) -> str:
    """What a check says, also where that is what is wrong."""
    try:
        return str(part())
    except CommandError as error:
        return str(error)


def _job(id: uuid.UUID) -> Job:
    job = Job.objects.filter(pk=id).first()
    if job is None:
        raise CommandError(f"There is no job {id}; jobs that ended long ago are deleted.")
    return job
