"""``jobs approvals``, ``jobs approve``, ``jobs reject``."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from furrow.command import rows
from furrow.command.output import Output
from furrow.command.source import Source
from furrow.command.words import read_ids, read_json


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs approvals``."""
    parser.add_argument("--show", default="open", help="mine (open ones that I may decide), open, decided, closed or all")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, newest first (default 20)")


def approvals(output: Output, source: Source, options: dict[str, Any]) -> int:
    """The newest ones."""
    if not 1 <= options["limit"] <= 200:
        raise CommandError(f"--limit is {options['limit']}: it must be from 1 to 200.")
    found = source.approvals(options["show"], options["limit"])
    if output.as_json:
        output.json(found)
    elif not found:
        output.say("There is no such approval.")
    else:
        now = source.now()
        cells = [
            (one["id"], one["title"], one["state"], rows.ago(one["created_at"], now), one["decided_by"] or one["permission"])
            for one in found
        ]
        output.table(("id", "title", "state", "asked", "by"), cells)
    return 0


def add_approve_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs approve ID``."""
    add_reject_arguments(parser)
    parser.add_argument("--answers", metavar="JSON", help="answers to its form, as a JSON object")


def add_reject_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs reject ID``."""
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--note", default="", help="why")


def approve(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Approve one."""
    answers = None if options["answers"] is None else read_json(options["answers"])
    return _decide(output, source, options, True, answers)


def reject(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Reject one."""
    return _decide(output, source, options, False, None)


def _decide(output: Output, source: Source, options: dict[str, Any], approved: bool, answers: Any) -> int:
    (approval_id,) = read_ids([options["id"]])
    done = source.decide(approval_id, approved, options["note"], answers)
    if output.as_json:
        output.json(done)
    else:
        output.say(f"{done['title']}: {done['state']}.")
    return 0


COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "approvals": (add_list_arguments, approvals, "what waits for a person's decision, and what was decided"),
    "approve": (add_approve_arguments, approve, "approve what a job asks"),
    "reject": (add_reject_arguments, reject, "reject what a job asks"),
}
