"""``jobs submit``: one job from the command line, or many from a file."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.management.base import CommandError
from django.db import Error, router, transaction

from furrow.actions.audit import audit
from furrow.admin.forms.row_field import missing_rows
from furrow.admin.forms.table import MAX_BYTES, Problem, Table, read_csv, read_json_lines
from furrow.command.actor import Actor
from furrow.command.following import Tail, exit_code, follow_batch
from furrow.command.output import Output
from furrow.command.words import read_arguments, read_moment
from furrow.diagnosis import wording
from furrow.diagnosis.as_json import job_json
from furrow.kinds.kind import Kind, get_kind
from furrow.kinds.secret import masked
from furrow.models import Job
from furrow.models.database import atomic
from furrow.models.job import new_id
from furrow.plural import counted
from furrow.statements import clock
from furrow.submission import uploads
from furrow.submission.submit import submit, submit_many

#: Problems of a table that are named.
SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs submit KIND [name=value …]``."""
    parser.add_argument("kind", metavar="KIND", help="the kind's name; `jobs kinds` lists them")
    parser.add_argument(
        "words", nargs="*", metavar="name=value", help="an argument, written as in the form; for a file, its path"
    )
    parser.add_argument("--json-args", metavar="JSON", help="arguments as a JSON object; - reads it from standard input")
    parser.add_argument("--file", metavar="FILE", help="many at once: a .csv or .jsonl file with a job a line, all or none")
    parser.add_argument("--queue", help="override the kind's queue")
    parser.add_argument("--priority", type=int, metavar="0-9", help="0 goes first, 9 last")
    parser.add_argument("--countdown", type=float, metavar="SECONDS", help="do not start before this many seconds from now")
    parser.add_argument("--at", metavar="TIME", help="do not start before this time, such as 2026-01-31T13:45")
    parser.add_argument(
        "--expires", type=float, metavar="SECONDS", help="cancel the job if it has not begun this long after it is due"
    )
    parser.add_argument("--max-attempts", type=int, metavar="N", help="override the kind's own")
    parser.add_argument("--tag", action="append", metavar="TAG", help="a short text to find the job by; may be repeated")
    parser.add_argument("--wait", action="store_true", help="follow the log until it ends, and print the result")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="with --wait: give up waiting after this long")


def run(output: Output, actor: Actor, options: dict[str, Any]) -> int:
    """Submit; returns the exit code."""
    kind = get_kind(options["kind"])
    actor.must_submit(kind)
    if options["timeout"] is not None and not options["wait"]:
        raise CommandError("--timeout requires --wait.")
    if options["wait"]:
        actor.must_view()
    if options["file"] is None:
        return _one(output, actor, kind, options)
    if options["words"] or options["json_args"] is not None:
        raise CommandError("--file cannot be combined with name=value or --json-args: the file has the arguments.")
    return _many(output, actor, kind, options)


def _options(actor: Actor, options: dict[str, Any]) -> dict[str, Any]:
    names = ("queue", "priority", "countdown", "expires", "max_attempts")
    tags = {"tags": options["tag"]} if options["tag"] else {}
    return {
        **{name: options[name] for name in names},
        **tags,
        "run_at": read_moment("--at", options["at"]),
        "submitted_by": actor.user,
    }


# --- One --------------------------------------------------------------------------------------------------------------


def _one(output: Output, actor: Actor, kind: Kind, options: dict[str, Any]) -> int:
    given, files = read_arguments(kind, options["words"], options["json_args"])
    if wrong := missing_rows(kind, actor.user, [given])[0]:
        raise CommandError("; ".join(f"{name}: {text}" for name, text in wrong.items()) + ". Nothing was submitted.")
    job = _submit(kind, given, files, _options(actor, options))
    if not options["wait"]:
        if output.as_json:
            output.json(job_json(job))
        else:
            due = f", due {wording.relative(job.run_at, clock.now())}" if job.run_at > clock.now() else ""
            output.say(f"Submitted {job.kind} {job.pk} to queue {job.queue}{due}.")
        return 0
    output.say(f"Submitted {job.kind} {job.pk}.")
    ended = Tail(_silent(output), job.pk).run(timeout=options["timeout"])
    return finish(output, ended)


def _submit(kind: Kind, given: dict[str, Any], files: dict[str, Path], options: dict[str, Any]) -> Job:
    """Its files are kept first; they go again if it is refused."""
    job_id, kept = new_id(), {}
    try:
        for name, path in files.items():
            with path.open("rb") as file:
                kept[name] = uploads.save(job_id, File(file), path.name)
        with transaction.atomic(using=router.db_for_write(Job)):
            job = submit(kind, {**given, **kept}, id=job_id, **options)
            if job.existed:
                uploads.adopt(job, kept)
    except BaseException as error:
        if not isinstance(error, Error):  # it may have been committed: what is left of it the sweep deletes
            uploads.discard(kept.values())
        raise
    if job.existed:
        uploads.discard(kept.values())
    return job


def _silent(output: Output) -> Output:
    """With ``--wait --json`` the one result is the job; its log goes where remarks go."""
    if not output.as_json:
        return output
    quiet = object.__new__(Output)
    quiet.as_json, quiet.console, quiet.remarks = False, output.remarks, output.remarks
    return quiet


def finish(output: Output, job: Job) -> int:
    """Say how a job ended; returns the exit code."""
    if output.as_json:
        output.json(job_json(job, result=True))
    else:
        took = (
            f" after {wording.span((job.finished_at - job.started_at).total_seconds())}"
            if job.finished_at and job.started_at
            else ""
        )
        output.say(f"{job.state}{took}{': ' + job.error if job.error else ''}")
        if job.result is not None:
            output.say(wording.indented(masked(job.result))[: wording.SHOWN])
    return exit_code(Counter([job.state]))


# --- Many -------------------------------------------------------------------------------------------------------------


def _many(output: Output, actor: Actor, kind: Kind, options: dict[str, Any]) -> int:
    table = _read(kind, actor, options["file"])
    if table.problems:
        shown = [f"  {describe(problem)}" for problem in table.problems[:SHOWN]]
        more = [f"  and {len(table.problems) - SHOWN:,} more"] if len(table.problems) > SHOWN else []
        count = counted(len(table.problems), "problem")
        raise CommandError("\n".join([f"Nothing was submitted: {count} in {options['file']}.", *shown, *more]))
    batch = new_id()
    with atomic():
        ids = submit_many(kind, table.given, batch=batch, **_options(actor, options))
        audit("submit", by=actor.by, origin=actor.origin, target=f"{kind.name}, batch {batch}", count=len(ids))
    output.say(f"Submitted {counted(len(ids), 'job')} of {kind.name} as batch {batch}.")
    counts: Counter[str] = Counter({"pending": len(ids)})
    if options["wait"]:
        counts = follow_batch(output, batch, timeout=options["timeout"])
    if output.as_json:
        output.json({"batch": batch, "kind": kind.name, "jobs": len(ids), "states": dict(counts)})
    return exit_code(counts) if options["wait"] else 0


def _read(kind: Kind, actor: Actor, name: str) -> Table:
    """By the file's suffix; standard input (``-``) is CSV unless it begins with ``{``."""
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"--file {name!r} cannot be read: {error.strerror}.") from None
    suffix = Path(name).suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json") or (name == "-" and content.lstrip()[:1] == b"{"):
        return read_json_lines(kind, content, actor.user)
    return read_csv(kind, content, actor.user, secrets=True)


def describe(problem: Problem) -> str:
    """``line 3, number: …``."""
    place = ", ".join(part for part in (f"line {problem.line}" if problem.line else "", problem.column) if part)
    return f"{place}: {problem.text}" if place else problem.text
