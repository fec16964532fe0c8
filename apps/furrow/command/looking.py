"""``jobs kinds``, ``list``, ``show``, ``stats``: read-only commands."""

import argparse
import datetime as dt
import json
from typing import Any

from django.core.management.base import CommandError

from furrow.command import choosing, rows
from furrow.command.output import Output
from furrow.command.source import Facts, Source
from furrow.command.words import read_ids
from furrow.diagnosis import wording
from furrow.diagnosis.wording import COUNTED
from furrow.kinds import docstrings
from furrow.states import State

# --- kinds ------------------------------------------------------------------------------------------------------------


def add_kinds_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs kinds [KIND]``."""
    parser.add_argument("kind", nargs="?", metavar="KIND")


def kinds(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Print all kinds, or one with its arguments."""
    found: Any = source.kind(options["kind"]) if options["kind"] else source.kinds()
    if output.as_json:
        output.json(found)
    elif options["kind"]:
        _print_kind(output, found)
    else:
        cells = [(kind["name"], kind["queue"], docstrings.first_line(kind["doc"])) for kind in found]
        output.table(("kind", "queue", "what it does"), cells)
    return 0


def _print_kind(output: Output, kind: Facts) -> None:
    doc, _arguments = docstrings.split(kind["doc"])
    output.say(f"{kind['name']}\n\n{doc or 'No description.'}\n")
    inputs = [(one["name"], "needed" if one["needed"] else "", one["input"], one["help"]) for one in kind["inputs"]]
    output.table(("argument", "", "input", "help"), inputs)
    sample = " ".join(f"{one['name']}=…" for one in kind["inputs"] if one["needed"])
    output.say(f"\nmanage.py furrow jobs submit {kind['name']} {sample}".rstrip())


# --- list -------------------------------------------------------------------------------------------------------------


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs list``."""
    choosing.add_arguments(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, newest first (default 20)")


def jobs(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Print the newest jobs that meet the conditions."""
    limit = options["limit"]
    if not 1 <= limit <= COUNTED:
        raise CommandError(f"--limit is {limit}: it must be from 1 to {COUNTED:,}.")
    criteria = choosing.criteria(options, source)
    found = source.jobs(criteria, limit + 1)
    if output.as_json:
        output.json(found[:limit])
        return 0
    if not found:
        output.say("No job meets these conditions." if criteria else "There are no jobs yet.")
        return 0
    now = source.now()
    output.table(rows.COLUMNS, [rows.cells(job, now) for job in found[:limit]])
    if len(found) > limit:
        output.say(f"The newest {limit:,}; --limit shows more.")
    return 0


# --- show -------------------------------------------------------------------------------------------------------------


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs show ID``."""
    parser.add_argument("id", metavar="ID")


def show(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Print one job."""
    (job_id,) = read_ids([options["id"]])
    job = source.job(job_id)
    if output.as_json:
        output.json(job)
        return 0
    now, attempts = source.now(), job["attempts"]
    output.facts(_facts(job, now))
    if attempts:
        output.say("")
        cells = [
            (one["number"], one["outcome"], wording.span(one["seconds"]), rows.ago(one["finished_at"], now), one["error"])
            for one in attempts
        ]
        output.table((">attempt", "outcome", ">took", "ended", "error"), cells)
    if job.get("steps"):  # an older server has none
        output.say("")
        output.table((">step", "name", "run", ">began", "result"), [_step_cells(step, now) for step in job["steps"]])
    if attempts and attempts[-1]["traceback"] and job["state"] == State.FAILED:
        output.say(f"\n{attempts[-1]['traceback']}")
    return 0


def _step_cells(step: Facts, now: dt.datetime) -> tuple[Any, ...]:
    if step["finished_at"]:
        result = "did not come in time" if step["timed_out"] else wording.shorten(json.dumps(step["result"]), 80)
        result = "slept" if step["sort"] == "sleep" else result
    else:
        waits = f"waits for {'jobs' if step['sort'] == 'call' else step['awaits']}" if step["awaits"] else "sleeps"
        result = f"{waits} until {rows.local(step['until'], now)}" if step["until"] else waits
    passed = step["passed_in"]
    run = f"{step['attempt']} to {passed}" if passed and passed != step["attempt"] else step["attempt"]
    told = f"{result} ({step['note']})" if step["note"] else result
    return step["position"], step["name"], run, rows.ago(step["started_at"], now), told


def _facts(job: Facts, now: dt.datetime) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [(name, job[name]) for name in ("id", "kind", "state")]
    if job["why"]:
        found.append(("why", rows.reason(job["why"], now)))
    if job.get("workflow"):  # an older server has none
        found.append(("workflow", "{name} {id}, node {node}".format(**job["workflow"])))
    if job["error"]:
        found.append(("error", job["error"]))
    if job["state"] == State.RUNNING and job["progress"] is not None:
        found.append(("progress", f"{job['progress']:.0%} {job['progress_note']}".strip()))
    found += [("queue", f"{job['queue']}, priority {job['priority']}"), ("submitted by", job["submitted_by"] or "a program")]
    found += [(name, rows.local(job[f"{column}_at"], now)) for name, column in _MOMENTS if job[f"{column}_at"]]
    if job["batch"]:
        found.append(("batch", job["batch"]))
    found += [("attempts", rows.attempts(job)), ("arguments", _json(job["arguments"]))]
    if job["meta"]:
        found.append(("meta", _json(job["meta"])))
    if job["state"] == State.SUCCEEDED:
        found.append(("result", _json(job["result"])))
    return found


_MOMENTS = (("created", "created"), ("due", "run"), ("began", "started"), ("ended", "finished"), ("expires", "expires"))


def _json(value: Any) -> str:
    text = wording.indented(value)
    return text if len(text) <= wording.SHOWN else f"{text[: wording.SHOWN]}… (cut; --json prints all)"


# --- stats ------------------------------------------------------------------------------------------------------------


def add_stats_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs stats``."""


def stats(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Print what stands in each queue, how each kind fared in the last hour, and the living workers. Counts end at 10,000."""
    found = source.stats()
    if output.as_json:
        output.json(found)
        return 0
    now = source.now()
    columns = ("queue", "condition", ">due", ">scheduled", ">in RabbitMQ", ">running", "oldest due", ">workers")
    output.table(columns, [(*_queue_cells(queue, now), len(queue["workers"])) for queue in found["queues"]])
    output.say("")
    if found["kinds"]:
        columns = ("kind, last hour", ">ended", ">failed", ">retried", ">wait p50", ">p95", ">run p50", ">p95")
        output.table(columns, [_figures_cells(figures) for figures in found["kinds"]])
        output.say("")
    if not found["workers"]:
        output.say(f"No worker is running, so no job runs. Start one: {source.worker_command()}")
        return 0
    cells = [(w["node"], w["processes"], ", ".join(w["queues"]), rows.ago(w["heartbeat_at"], now)) for w in found["workers"]]
    output.table(("worker", ">processes", "queues", "heartbeat"), cells)
    return 0


def _queue_cells(queue: Facts, now: dt.datetime) -> tuple[Any, ...]:
    counts = [_limited(queue[name]) for name in ("due", "scheduled", "queued", "running")]
    return (queue["name"], queue["condition"], *counts, rows.ago(queue["oldest_due"], now))


def _figures_cells(figures: Facts) -> tuple[Any, ...]:
    counts = (f"{figures[name]:,}" for name in ("ended", "failed", "retried"))
    times = (wording.span(figures[name]) for name in ("wait_p50", "wait_p95", "run_p50", "run_p95"))
    return (figures["kind"], *counts, *times)


def _limited(count: int) -> str:
    return f"{COUNTED:,}+" if count > COUNTED else f"{count:,}"
