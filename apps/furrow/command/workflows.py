"""``jobs workflow list``, ``show``, ``cancel``, ``pause``, ``resume``, ``restart``, ``fork``."""

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import CommandError

from furrow.command import graph, rows
from furrow.command.output import Output
from furrow.command.source import Facts, Source
from furrow.command.words import read_ids, read_json

#: What may be done to one or several, and why it changes nothing.
ACTS = {
    "cancel": "had ended, or are being cancelled",
    "pause": "had ended, or are paused or being cancelled",
    "resume": "were not paused",
    "restart": "have nothing that failed or was cancelled, are being cancelled, or have been taken back (fork them)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``jobs workflow ACT …``."""
    parser.add_argument(
        "act", metavar="ACT", choices=["list", "show", *ACTS, "fork"], help=f"list, show, {', '.join(ACTS)}, fork"
    )
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help="ids of workflows; fork: ID NODE; - reads them from standard input"
    )
    parser.add_argument("--state", default="", help="list: running, paused, succeeded, failed or cancelled")
    parser.add_argument("--search", default="", metavar="TEXT", help="list: with this in their name")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="list: how many, newest first (default 20)")
    parser.add_argument("--reason", default="", help="cancel: shown at the workflow and its jobs")
    parser.add_argument("--json-args", metavar="JSON", help="fork: other arguments of the node, as a JSON object")


def run(output: Output, source: Source, options: dict[str, Any]) -> int:
    """Look, or act; returns the exit code: 1 when nothing was changed."""
    act, words = options["act"], options["ids"]
    if act == "list":
        if words:
            raise CommandError("list takes no ids: show ID shows one.")
        return _list(output, source, options)
    if act == "fork":
        if len(words) != 2:
            raise CommandError("fork takes the id of a workflow and the name of a node.")
        return _fork(output, source, words, read_json(options["json_args"]))
    ids = read_ids(words)
    if not ids:
        raise CommandError(f"Which workflow? Give its id: jobs workflow {act} ID.")
    if act != "show":
        return _act(output, source, act, ids, options["reason"])
    if len(ids) > 1:
        raise CommandError("show takes one id.")
    return _show(output, source, source.workflow(ids[0]))


def _list(output: Output, source: Source, options: dict[str, Any]) -> int:
    limit = options["limit"]
    if not 1 <= limit <= 200:
        raise CommandError(f"--limit is {limit}: it must be from 1 to 200.")
    found = source.workflows(options["state"], options["search"], limit)
    if output.as_json:
        output.json(found)
    elif not found:
        output.say("There is no such workflow.")
    else:
        now = source.now()
        cells = [(one["id"], one["name"], state(one), rows.ago(one["created_at"], now), one["reason"]) for one in found]
        output.table(("id", "name", "state", "submitted", "reason"), cells)
    return 0


def _show(output: Output, source: Source, workflow: Facts) -> int:
    if output.as_json:
        output.json(workflow)
        return 0
    now = source.now()
    output.facts(_facts(workflow, now))
    output.say("")
    graph.draw(output, workflow, now)
    return 0


def _facts(workflow: Facts, now: dt.datetime) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [("id", workflow["id"]), ("name", workflow["name"]), ("state", state(workflow))]
    found += [(name, workflow[name.replace(" ", "_")]) for name in ("reason", "fork of") if workflow[name.replace(" ", "_")]]
    found.append(("submitted by", workflow["submitted_by"] or "a program"))
    names = {"submitted": "created", "expires": "expires", "ended": "finished"}
    found += [(name, rows.local(workflow[f"{at}_at"], now)) for name, at in names.items() if workflow[f"{at}_at"]]
    return found


def state(workflow: Facts) -> str:
    """Its state; of one that runs also whether somebody is stopping it."""
    if workflow["state"] != "running":
        return str(workflow["state"])
    return "cancelling" if workflow["cancel_requested_at"] else "paused" if workflow["paused_at"] else "running"


def _act(output: Output, source: Source, act: str, ids: list[Any], reason: str) -> int:
    changed, forbidden, locked = source.act_on_workflows(act, ids, reason)
    left = len(set(ids)) - changed - len(forbidden) - len(locked)
    if output.as_json:
        told = {"action": act, "asked": len(set(ids)), "changed": changed, "left_alone": left}
        output.json({**told, "forbidden": forbidden, "locked": locked})
    else:
        why = f", {left:,} left alone: they {ACTS[act]}, or do not exist" if left else ""
        output.say(f"{act}: {changed:,} changed{why}.")
        if forbidden:
            output.say(f"{len(forbidden):,} left: you may not act on some kinds of their jobs. One is {forbidden[0]}.")
        if locked:
            output.say(f"{len(locked):,} left: another transaction has locked it; try again when it ends. One is {locked[0]}.")
    return 0 if changed else 1


def _fork(output: Output, source: Source, words: list[str], arguments: Facts) -> int:
    (workflow_id,), node = read_ids(words[:1]), words[1]
    new = source.fork_workflow(workflow_id, node, arguments)
    if output.as_json:
        output.json(new)
    else:
        output.say(f"fork: workflow {new['id']} repeats it from {node} on.")
    return 0


COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "workflow": (add_arguments, run, "list, show, cancel, pause, resume, restart and fork workflows")
}
