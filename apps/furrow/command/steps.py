"""``jobs signal``, ``jobs retry-from``: what a job with steps waits for, and where it begins again."""

import argparse
import json
from typing import Any

from django.core.management.base import CommandError

from furrow.command.output import Output
from furrow.command.source import Source
from furrow.command.words import read_ids


def add_signal_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs signal ID NAME [JSON]``."""
    parser.add_argument("id", metavar="ID")
    parser.add_argument("name", metavar="NAME", help="which signal")
    parser.add_argument("payload", nargs="?", default="null", metavar="JSON", help="what the job gets with it")


def signal(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Send a job, or a workflow, a signal."""
    (job_id,) = read_ids([options["id"]])
    try:
        payload = json.loads(options["payload"])
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{options['payload'][:80]!r} is no JSON ({error}): quote texts twice, as '\"yes\"'.") from None
    delivered = source.signal(job_id, options["name"], payload)
    if output.as_json:
        output.json({"action": "signal", "job": job_id, "name": options["name"], "delivered": delivered})
    else:
        output.say(f"signal: {'the job goes on' if delivered else 'kept until the job asks for it'}.")
    return 0


def add_retry_from_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs retry-from ID STEP``."""
    parser.add_argument("id", metavar="ID")
    parser.add_argument("step", metavar="STEP", help="the first step that is done again")


def retry_from(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Run a job again from a step."""
    (job_id,) = read_ids([options["id"]])
    changed = source.retry_from(job_id, options["step"])
    if output.as_json:
        output.json({"action": "retry-from", "job": job_id, "step": options["step"], "changed": changed})
    else:
        done = f"the job will run again from {options['step']}" if changed else "nothing changed, the job is running: cancel it"
        output.say(f"retry-from: {done}.")
    return 0 if changed else 1


COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "signal": (add_signal_arguments, signal, "send a job or a workflow a signal that it waits for, or will"),
    "retry-from": (add_retry_from_arguments, retry_from, "run a job again from one of its steps"),
}
