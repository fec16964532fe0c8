"""``jobs kinds``, ``list``, ``show``, ``stats``: read-only commands."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from furrow.actions.selection import select
from furrow.admin.forms import docstrings
from furrow.admin.forms.arguments import argument_fields
from furrow.command import choosing
from furrow.command.actor import Actor
from furrow.command.output import Output
from furrow.command.rows import COLUMNS, cells, local
from furrow.command.words import read_ids
from furrow.diagnosis import wording
from furrow.diagnosis.as_json import figures_json, job_json, kind_json, queue_json, whole_job_json, worker_json
from furrow.diagnosis.commands import worker_command
from furrow.diagnosis.explain import living_workers, situation, why
from furrow.diagnosis.figures import COUNTED, queue_figures
from furrow.diagnosis.kind_figures import KindFigures, by_kind
from furrow.kinds.kind import Kind, all_kinds, get_kind
from furrow.kinds.secret import masked
from furrow.models import Attempt, Job
from furrow.models.users import add_submitters, submitter
from furrow.statements import clock
from furrow.states import FINAL, State

#: Seconds over which ``stats`` looks at kinds.
HOUR = 3600

# --- kinds ------------------------------------------------------------------------------------------------------------


def add_kinds_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs kinds [KIND]``."""
    parser.add_argument("kind", nargs="?", metavar="KIND")


def kinds(output: Output, actor: Actor, options: dict[str, Any]) -> int:
    """Print all kinds, or one with its arguments."""
    if options["kind"]:
        _print_kind(output, get_kind(options["kind"]))
        return 0
    found = all_kinds()
    if output.as_json:
        output.json([kind_json(kind) for kind in found])
    else:
        output.table(("kind", "queue", "what it does"), [(k.name, k.queue, docstrings.first_line(k.doc)) for k in found])
    return 0


def _print_kind(output: Output, kind: Kind) -> None:
    if output.as_json:
        output.json(kind_json(kind))
        return
    doc, _arguments = docstrings.split(kind.doc)
    output.say(f"{kind.name}\n\n{doc or 'No description.'}\n")
    fields = argument_fields(kind)
    needed = {name: "needed" if field.must_be_filled else "" for name, field in fields.items()}
    output.table(("argument", "", "input", "help"), [(n, needed[n], f.kind_of_input, f.help_text) for n, f in fields.items()])
    sample = " ".join(f"{name}=…" for name in fields if needed[name])
    output.say(f"\nmanage.py furrow jobs submit {kind.name} {sample}".rstrip())


# --- list -------------------------------------------------------------------------------------------------------------


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs list``."""
    choosing.add_arguments(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, newest first (default 20)")


def jobs(output: Output, actor: Actor, options: dict[str, Any]) -> int:
    """Print the newest jobs that meet the conditions."""
    actor.must_view()
    limit = options["limit"]
    if not 1 <= limit <= COUNTED:
        raise CommandError(f"--limit is {limit}: it must be from 1 to {COUNTED:,}.")
    rows = select(choosing.criteria(options)).order_by("-pk")
    found = list((rows if output.as_json else rows.defer("arguments", "result"))[: limit + 1])
    add_submitters(found)
    if output.as_json:
        output.json([job_json(job) for job in found[:limit]])
        return 0
    if not found:
        output.say("No job meets these conditions." if choosing.criteria(options) else "There are no jobs yet.")
        return 0
    now = clock.now()
    output.table(COLUMNS, [cells(job, now) for job in found[:limit]])
    if len(found) > limit:
        output.say(f"The newest {limit:,}; --limit shows more.")
    return 0


# --- show -------------------------------------------------------------------------------------------------------------


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs show ID``."""
    parser.add_argument("id", metavar="ID")


def show(output: Output, actor: Actor, options: dict[str, Any]) -> int:
    """Print one job."""
    actor.must_view()
    (job_id,) = read_ids([options["id"]])
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise CommandError(f"There is no job {job_id}; jobs that ended long ago are deleted.")
    now = clock.now()
    if output.as_json:
        output.json(whole_job_json(job, now))
        return 0
    attempts = list(Attempt.objects.filter(job=job.pk).order_by("number"))
    reason = None if job.state in FINAL else why(job, situation(job, now), now)
    output.facts(_facts(job, reason, now))
    if attempts:
        output.say("")
        rows = [(a.number, a.outcome, wording.span(a.seconds), wording.relative(a.finished_at, now), a.error) for a in attempts]
        output.table((">attempt", "outcome", ">took", "ended", "error"), rows)
    if attempts and attempts[-1].traceback and job.state == State.FAILED:
        output.say(f"\n{attempts[-1].traceback}")
    return 0


def _facts(job: Job, reason: Any, now: Any) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [("id", job.pk), ("kind", job.kind), ("state", job.state)]
    if reason:
        when = f" {wording.relative(reason.when, now)}" if reason.when else ""
        rows.append(("why", f"{reason.text}{when}. {reason.remedy}".strip()))
    if job.error:
        rows.append(("error", job.error))
    if job.state == State.RUNNING and job.progress is not None:
        rows.append(("progress", f"{job.progress:.0%} {job.progress_note}".strip()))
    by = user.get_username() if (user := submitter(job)) else "a program"
    rows += [("queue", f"{job.queue}, priority {job.priority}"), ("submitted by", by)]
    rows += [(name, local(getattr(job, f"{column}_at"), now)) for name, column in _MOMENTS if getattr(job, f"{column}_at")]
    if job.batch:
        rows.append(("batch", job.batch))
    rows.append(("attempts", f"{job.counted_attempts:,} of {job.max_attempts:,}"))
    rows.append(("arguments", _json(job.arguments)))
    if job.meta:
        rows.append(("meta", _json(job.meta)))
    if job.state == State.SUCCEEDED:
        rows.append(("result", _json(job.result)))
    return rows


_MOMENTS = (("created", "created"), ("due", "run"), ("began", "started"), ("ended", "finished"), ("expires", "expires"))


def _json(value: Any) -> str:
    text = wording.indented(masked(value))
    return text if len(text) <= wording.SHOWN else f"{text[: wording.SHOWN]}… (cut; --json prints all)"


# --- stats ------------------------------------------------------------------------------------------------------------


def add_stats_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs stats``."""


def stats(output: Output, actor: Actor, options: dict[str, Any]) -> int:
    """Print what stands in each queue, how each kind fared in the last hour, and the living workers. Counts end at 10,000."""
    actor.must_view()
    now = clock.now()
    queues, kinds, workers = queue_figures(now), by_kind(now, HOUR), list(living_workers(now).order_by("node"))
    if output.as_json:
        shown = {"queues": map(queue_json, queues), "kinds": map(figures_json, kinds), "workers": map(worker_json, workers)}
        output.json({name: list(rows) for name, rows in shown.items()})
        return 0
    columns = ("queue", "condition", ">due", ">scheduled", ">in RabbitMQ", ">running", "oldest due", ">workers")
    output.table(columns, [(*_queue_cells(queue, now), len(queue.consumers)) for queue in queues])
    output.say("")
    if kinds:
        columns = ("kind, last hour", ">ended", ">failed", ">retried", ">wait p50", ">p95", ">run p50", ">p95")
        output.table(columns, [_figures_cells(figures) for figures in kinds])
        output.say("")
    if not workers:
        output.say(f"No worker is running, so no job runs. Start one: {worker_command()}")
        return 0
    rows = [(w.node, w.processes, ", ".join(w.queues), wording.relative(w.heartbeat_at, now)) for w in workers]
    output.table(("worker", ">processes", "queues", "heartbeat"), rows)
    return 0


def _queue_cells(queue: Any, now: Any) -> tuple[Any, ...]:
    counts = [_limited(getattr(queue, name)) for name in ("due", "scheduled", "queued", "running")]
    return (queue.name, queue.condition, *counts, wording.relative(queue.oldest, now) if queue.oldest else wording.NOTHING)


def _figures_cells(figures: KindFigures) -> tuple[Any, ...]:
    counts = (f"{count:,}" for count in (figures.jobs, figures.failed, figures.retried))
    times = (figures.wait.p50, figures.wait.p95, figures.run.p50, figures.run.p95)
    return (figures.kind, *counts, *map(wording.span, times))


def _limited(count: int) -> str:
    return f"{COUNTED:,}+" if count > COUNTED else f"{count:,}"
