"""``jobs submit``: one job from the command line, or many from a file."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from furrow.command import rows
from furrow.command.following import Tail, exit_code, follow_batch
from furrow.command.output import Output
from furrow.command.source import Facts, Source, WrongTable
from furrow.command.words import read_json, read_moment
from furrow.diagnosis import wording
from furrow.plural import counted

#: What is read of a table: more than it may have.
MOST_BYTES = 10 * 1024 * 1024 + 1
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


def run(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Submit; returns the exit code."""
    if options["timeout"] is not None and not options["wait"]:
        raise CommandError("--timeout requires --wait.")
    if options["wait"]:
        source.must_view()
    if options["file"] is None:
        return _one(output, source, options)
    if options["words"] or options["json_args"] is not None:
        raise CommandError("--file cannot be combined with name=value or --json-args: the file has the arguments.")
    return _many(output, source, options)


def _options(options: dict[str, Any]) -> Facts:
    names = ("queue", "priority", "countdown", "expires", "max_attempts")
    tags = {"tags": options["tag"]} if options["tag"] else {}
    return {**{name: options[name] for name in names}, **tags, "run_at": read_moment("--at", options["at"])}


# --- One --------------------------------------------------------------------------------------------------------------


def _one(output: Output, source: Source, options: dict[str, Any]) -> int:
    job = source.submit(options["kind"], options["words"], read_json(options["json_args"]), _options(options))
    if not options["wait"]:
        if output.as_json:
            output.json(job)
        else:
            now, due = source.now(), rows.moment(job["run_at"])
            later = f", due {wording.relative(due, now)}" if due and due > now else ""
            output.say(f"Submitted {job['kind']} {job['id']} to queue {job['queue']}{later}.")
        return 0
    output.say(f"Submitted {job['kind']} {job['id']}.")
    ended = Tail(_silent(output), source, job["id"]).run(timeout=options["timeout"])
    return finish(output, ended)


def _silent(output: Output) -> Output:
    """With ``--wait --json`` the one result is the job; its log goes where remarks go."""
    if not output.as_json:
        return output
    quiet = object.__new__(Output)
    quiet.as_json, quiet.console, quiet.remarks = False, output.remarks, output.remarks
    return quiet


def finish(output: Output, job: Facts) -> int:
    """Say how a job ended; returns the exit code."""
    if output.as_json:
        output.json(job)
    else:
        seconds = rows.took(job)
        took = "" if seconds is None else f" after {wording.span(seconds)}"
        output.say(f"{job['state']}{took}{': ' + job['error'] if job['error'] else ''}")
        if job["result"] is not None:
            output.say(wording.indented(job["result"])[: wording.SHOWN])
    return exit_code(Counter([job["state"]]))


# --- Many -------------------------------------------------------------------------------------------------------------


def _many(output: Output, source: Source, options: dict[str, Any]) -> int:
    kind, name = options["kind"], options["file"]
    content = _read(name)
    suffix = Path(name).suffix.lower()
    is_json = suffix in (".jsonl", ".ndjson", ".json") or (name == "-" and content.lstrip()[:1] == b"{")
    try:
        batch, count = source.submit_table(kind, content, is_json, _options(options))
    except WrongTable as error:
        shown = [f"  {problem}" for problem in error.problems[:SHOWN]]
        more = [f"  and {len(error.problems) - SHOWN:,} more"] if len(error.problems) > SHOWN else []
        problems = counted(len(error.problems), "problem")
        raise CommandError("\n".join([f"Nothing was submitted: {problems} in {name}.", *shown, *more])) from None
    output.say(f"Submitted {counted(count, 'job')} of {kind} as batch {batch}.")
    counts: Counter[str] = Counter({"pending": count})
    if options["wait"]:
        counts = follow_batch(output, source, batch, timeout=options["timeout"])
    if output.as_json:
        output.json({"batch": batch, "kind": kind, "jobs": count, "states": dict(counts)})
    return exit_code(counts) if options["wait"] else 0


def _read(name: str) -> bytes:
    """A file, or standard input (``-``)."""
    try:
        return sys.stdin.buffer.read(MOST_BYTES) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"--file {name!r} cannot be read: {error.strerror}.") from None
