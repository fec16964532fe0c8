"""Rows as JSON for programs: the command line's ``--json`` and the HTTP API. Names and types are
stable (docs/command_line.md)."""

import datetime as dt
import json
from collections.abc import Collection
from typing import Any

from furrow.diagnosis.explain import living_workers, situation, why
from furrow.diagnosis.figures import QueueFigures, queue_figures
from furrow.diagnosis.kind_figures import KindFigures, by_kind
from furrow.diagnosis.reason import Reason
from furrow.diagnosis.steps import Shown, steps_of
from furrow.diagnosis.titles import title_of
from furrow.diagnosis.workflows import place
from furrow.kinds.kind import Kind
from furrow.kinds.secret import masked
from furrow.models import Attempt, Job, LogLine, Worker
from furrow.models.step import Sort
from furrow.models.users import submitter
from furrow.states import FINAL

#: Seconds over which the statistics look at kinds.
HOUR = 3600


def job_json(job: Job, *, result: bool = False) -> dict[str, Any]:
    """A job; times are ISO 8601 in UTC or null. Secret arguments are dots."""
    found = {
        "id": job.pk,
        "kind": job.kind,
        "title": title_of(job.kind, job.arguments),
        "state": job.state,
        "queue": job.queue,
        "priority": job.priority,
        "arguments": masked(job.arguments),
        "meta": masked(job.meta),
        "batch": job.batch,
        "tags": job.tags or [],
        "submitted_by": user.get_username() if (user := submitter(job)) else None,
        **{name: utc(getattr(job, name)) for name in ("created_at", "run_at", "expires_at", "started_at", "finished_at")},
        "attempt": job.attempt,
        "attempts_counted": job.counted_attempts,
        "max_attempts": job.max_attempts,
        "progress": job.progress,
        "progress_note": job.progress_note,
        "error": job.error,
    }
    return {**found, "result": masked(job.result)} if result else found


def whole_job_json(job: Job, now: dt.datetime) -> dict[str, Any]:
    """A job with its result, its attempts, and why it has not begun or ended."""
    attempts = Attempt.objects.filter(job=job.pk).order_by("number")
    reason = None if job.state in FINAL else why(job, situation(job, now), now)
    more = {"attempts": [attempt_json(one) for one in attempts], "steps": [step_json(one) for one in steps_of(job)]}
    found = place(job)
    workflow = {"id": found[1].pk, "name": found[1].name, "node": found[0].name} if found else None
    return {**job_json(job, result=True), "why": reason_json(reason), "workflow": workflow, **more}


def reason_json(reason: Reason | None) -> dict[str, Any] | None:
    """Why a job waits."""
    if reason is None:
        return None
    return {"text": reason.text, "when": utc(reason.when), "remedy": reason.remedy, "stuck": reason.stuck}


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """One run."""
    names = ("number", "outcome", "seconds", "worker", "pid", "error_type", "error", "traceback")
    times = {name: utc(getattr(attempt, name)) for name in ("started_at", "finished_at")}
    return {**{name: getattr(attempt, name) for name in names}, **times}


def step_json(shown: Shown) -> dict[str, Any]:
    """A step."""
    step = shown.step
    names = ("name", "sort", "position", "attempt", "passed_in", "version", "awaits", "timed_out", "note")
    times = {name: utc(getattr(step, name)) for name in ("started_at", "until", "finished_at")}
    result = None if shown.result is None else json.loads(shown.result)
    plain = {name: getattr(step, name) for name in names} | ({"awaits": ""} if step.sort in (Sort.STEP, Sort.SLEEP) else {})
    return {**plain, **times, "result": result}


def line_json(line: LogLine) -> dict[str, Any]:
    """A log line; ``level`` is Python's number."""
    at = utc(line.at)
    return {"at": at, "attempt": line.attempt, "level": line.level, "logger": line.logger, "message": line.message}


def kind_json(kind: Kind) -> dict[str, Any]:
    """A kind, with the JSON schemas of its arguments and, where it is declared, of its result."""
    return {
        "name": kind.name,
        "queue": kind.queue,
        "priority": kind.priority,
        "permission": kind.permission or None,
        "doc": kind.doc,
        "external": kind.external,
        "arguments": kind.arguments.schema,
        "result": kind.result_schema,
    }


def figures_json(figures: KindFigures) -> dict[str, Any]:
    """How a kind fared."""
    counts = {"ended": figures.jobs, "failed": figures.failed, "retried": figures.retried}
    times = {"wait": figures.wait, "run": figures.run}
    quantiles = {f"{n}_{q}": getattr(t, q) and round(getattr(t, q), 4) for n, t in times.items() for q in ("p50", "p95")}
    return {"kind": figures.kind, **counts, **quantiles}


def queue_json(queue: QueueFigures) -> dict[str, Any]:
    """What stands in a queue. Counts end at 10,001."""
    counts = {name: getattr(queue, name) for name in ("due", "scheduled", "queued", "running")}
    workers = [worker.node for worker in queue.consumers]
    paused = queue.paused and {"by": queue.paused.paused_by, "at": utc(queue.paused.paused_at), "reason": queue.paused.reason}
    standing = {**counts, "oldest_due": utc(queue.oldest)}
    return {"name": queue.name, "condition": queue.condition, "paused": paused, **standing, "workers": workers}


def stats_json(now: dt.datetime, kinds: Collection[str] = ()) -> dict[str, Any]:
    """What stands in each queue, how kinds (all, or these) fared in the last hour, and the living workers."""
    fared = [figures_json(one) for one in by_kind(now, HOUR) if not kinds or one.kind in kinds]
    workers = [worker_json(worker) for worker in living_workers(now).order_by("node")]
    return {"queues": [queue_json(queue) for queue in queue_figures(now)], "kinds": fared, "workers": workers}


def worker_json(worker: Worker) -> dict[str, Any]:
    """A worker."""
    times = {name: utc(getattr(worker, name)) for name in ("started_at", "heartbeat_at")}
    return {
        "id": worker.pk,
        "node": worker.node,
        "pid": worker.pid,
        "processes": worker.processes,
        "queues": worker.queues,
        **times,
    }


def utc(moment: dt.datetime | None) -> str | None:
    """A time in UTC, to the microsecond."""
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
