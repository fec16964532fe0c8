"""``jobs tail``: a job's log until it ends."""

import argparse
import logging
from collections import Counter
from typing import Any

from django.core.management.base import CommandError

from furrow.command.following import Tail, exit_code
from furrow.command.output import Output
from furrow.command.source import Source
from furrow.command.submitting import finish
from furrow.command.words import read_ids
from furrow.errors import did_you_mean
from furrow.states import FINAL

_LEVELS = ("debug", "info", "warning", "error", "critical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs tail ID``."""
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--level", default="debug", help=f"only lines of this level and above: {', '.join(_LEVELS)}")
    parser.add_argument("--no-follow", action="store_true", help="print what is there, and end")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="end after this long")


def run(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Print lines (with ``--json`` an object a line) until the job has ended; returns the exit code."""
    level = options["level"].lower()
    if level not in _LEVELS:
        raise CommandError(f"--level {options['level']!r} is unknown: {did_you_mean(level, _LEVELS)}.")
    (job_id,) = read_ids([options["id"]])
    tail = Tail(output, source, job_id, level=logging.getLevelNamesMapping()[level.upper()])
    job = tail.run(follow=not options["no_follow"], timeout=options["timeout"])
    if options["no_follow"]:
        return 0
    if not output.as_json and job["state"] in FINAL:
        return finish(output, job)
    return exit_code(Counter([job["state"]]))
