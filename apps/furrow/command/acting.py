"""``jobs cancel``, ``retry``, ``run-now``, ``delete``, …: on jobs by id, or on all that meet conditions. ``pause``,
``resume``."""

import argparse
import sys
import uuid
from functools import partial
from typing import Any

from django.core.management.base import CommandError

from furrow.command import choosing
from furrow.command.following import Tail
from furrow.command.output import Output
from furrow.command.source import Facts, Source
from furrow.command.submitting import finish
from furrow.command.words import read_ids, read_moment
from furrow.diagnosis.wording import COUNTED
from furrow.plural import counted

#: Each command: its name in :mod:`furrow.actions.bulk`, what it does, and to which jobs it does nothing.
ACTIONS = {
    "cancel": ("cancel", "cancel jobs; running ones are asked to stop", "had ended"),
    "retry": ("retry", "run ended jobs again", "had not ended"),
    "run-now": ("run now", "make scheduled jobs due now", "were not scheduled"),
    "snooze": ("snooze", "postpone jobs that have not begun", "had begun"),
    "set-priority": ("change priority", "change the priority of jobs that have not begun", "had begun, or have that priority"),
    "set-queue": ("change queue", "move jobs that have not begun to another queue", "had begun, or are in that queue"),
    "delete": ("delete", "delete ended jobs, with their attempts and logs", "had not ended, or their workflow goes on"),
}
_OPTIONS = {
    "snooze": ("until", "--until-time", "TIME", "when they become due, such as 2026-01-31T13:45"),
    "set-priority": ("priority", "--priority", "0-9", "0 goes first, 9 last"),
    "set-queue": ("queue", "--to", "QUEUE", "the queue to move to"),
}


def add_arguments(command: str, parser: argparse.ArgumentParser) -> None:
    """``jobs cancel ID …`` or ``jobs cancel --state … --kind …``."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="ids of jobs; - reads them from standard input")
    if command in _OPTIONS:
        _name, option, metavar, text = _OPTIONS[command]
        parser.add_argument(option, dest="value", required=True, metavar=metavar, help=text)
    choosing.add_arguments(parser)
    parser.add_argument("--all", action="store_true", help="act on every job")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the job that performs the action")


def run(command: str, output: Output, source: Source, options: dict[str, Any]) -> int:
    """Act; returns the exit code: 0 when anything was changed."""
    chosen = choosing.criteria(options, source)
    if bool(options["ids"]) + bool(chosen) + options["all"] != 1:
        raise CommandError("Choose the jobs by ids, by conditions (such as --state failed), or with --all; give one of these.")
    value = source.check(command, ACTIONS[command][0], _value(command, options))
    if options["ids"]:
        return _on_ids(command, value, output, source, read_ids(options["ids"]))
    return _on_all(command, value, output, source, chosen, options)


def _value(command: str, options: dict[str, Any]) -> Facts:
    if command not in _OPTIONS:
        return {}
    name = _OPTIONS[command][0]
    return {name: read_moment("--until-time", options["value"]) if name == "until" else options["value"]}


def _on_ids(command: str, value: Facts, output: Output, source: Source, ids: list[uuid.UUID]) -> int:
    action, _text, otherwise = ACTIONS[command]
    changed, locked = source.act(command, action, value, ids)
    left = len(set(ids)) - changed - len(locked)
    if output.as_json:
        told = {"locked": [str(id) for id in locked]} if locked else {}
        output.json({"action": command, "asked": len(set(ids)), "changed": changed, "left_alone": left, **told})
    else:
        why = f"they {otherwise} or do not exist{', or you may not act on their kind' if source.forbids_kinds() else ''}"
        output.say(f"{command}: {changed:,} changed{f', {left:,} left alone: {why}' if left else ''}.")
        if locked:
            output.say(
                f"{len(locked):,} left: another transaction has locked the row; try again when it ends. One is {locked[0]}."
            )
    return 0 if changed else 1


def _on_all(command: str, value: Facts, output: Output, source: Source, chosen: dict[str, str], options: dict[str, Any]) -> int:
    """By a job of its own, as the admin does it: it goes on when this command ends."""
    action = ACTIONS[command][0]
    count = source.count(action, chosen)
    if not count:
        output.json({"action": command, "matched": 0, "job": None}) if output.as_json else output.say(
            "No job meets these conditions."
        )
        return 1
    _confirm(command, count, options["yes"])
    job = source.start(action, value, chosen)
    output.say(f"{command}: {_about(count)} by job {job}.")
    if options["no_wait"]:
        if output.as_json:
            output.json({"action": command, "matched": count, "job": job})
        return 0
    return finish(output, Tail(output, source, job).run())


def _about(count: int) -> str:
    return f"more than {COUNTED:,} jobs" if count > COUNTED else counted(count, "job")


def _confirm(command: str, count: int, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{command} affects {_about(count)}: confirm with --yes. Nothing was done.")
    if input(f"{command}: {_about(count)}. Continue? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was done.")


# --- Queues -----------------------------------------------------------------------------------------------------------


def add_pause_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs pause QUEUE``."""
    parser.add_argument("queue", metavar="QUEUE")
    parser.add_argument("--reason", default="", help="shown wherever a job of the queue waits")
    parser.add_argument("--drain", action="store_true", help="let jobs that are already in RabbitMQ run")


def pause(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Let nothing of a queue begin any more."""
    name = options["queue"]
    changed = source.pause(name, reason=options["reason"], drain=options["drain"])
    return _said(output, "drain" if options["drain"] else "pause", name, changed, "it is paused already")


def add_resume_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs resume QUEUE``."""
    parser.add_argument("queue", metavar="QUEUE")


def resume(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Let a queue go on."""
    return _said(output, "resume", options["queue"], source.resume(options["queue"]), "it was not paused")


def _said(output: Output, action: str, name: str, changed: bool, otherwise: str) -> int:
    if output.as_json:
        output.json({"action": action, "queue": name, "changed": changed})
    else:
        output.say(f"{action} {name}: {'done' if changed else f'nothing changed, {otherwise}'}.")
    return 0 if changed else 1


COMMANDS: dict[str, tuple[Any, Any, str]] = {
    name: (partial(add_arguments, name), partial(run, name), text) for name, (_action, text, _otherwise) in ACTIONS.items()
} | {
    "pause": (add_pause_arguments, pause, "start no more jobs of a queue"),
    "resume": (add_resume_arguments, resume, "resume a paused queue"),
}
