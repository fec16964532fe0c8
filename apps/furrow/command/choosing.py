"""Conditions that choose jobs: for ``list`` and for commands that act on all matching jobs."""

import argparse
import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError

from furrow.command.source import Source

#: Options that are criteria of :mod:`furrow.actions.selection` by the same name.
PLAIN = ("state", "kind", "queue", "worker", "by", "tag", "batch")
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The conditions; a job must meet all of them."""
    group = parser.add_argument_group("conditions (a job meets all of them)")
    group.add_argument("--state", help="pending, queued, running, succeeded, failed or cancelled")
    group.add_argument("--kind", help="a kind's name")
    group.add_argument("--queue", help="a queue's name")
    group.add_argument("--worker", help="a worker's id or node name: jobs that it ran last")
    group.add_argument("--by", metavar="USER", help="submitted by this user")
    group.add_argument("--tag", help="with this tag")
    group.add_argument("--batch", metavar="ID", help="of this batch")
    group.add_argument("--since", metavar="WHEN", help="created since a time, or in the last 90s, 15m, 2h, 7d")
    group.add_argument("--until", metavar="WHEN", help="created before a time")
    group.add_argument(
        "--where", action="append", metavar="PATH=VALUE", help="an argument has this value: account_id=7, customer.name=Ada"
    )
    group.add_argument("--search", metavar="TEXT", help="text in the error, the kind or the arguments")


def criteria(options: Mapping[str, Any], source: Source) -> dict[str, str]:
    """What was chosen, as :func:`furrow.actions.selection.select` takes it.

    Raises:
        CommandError, UnknownKind: names the option, the reason and the remedy.
    """
    chosen = {name: options[name] for name in PLAIN if options[name]}
    if "kind" in chosen:
        source.must_be_kind(chosen["kind"])
    chosen |= {name: moment_or_span(options[name], source.now) for name in ("since", "until") if options[name]}
    if options["where"] and options["search"]:
        raise CommandError("--where and --search cannot be combined: give one of them.")
    if options["where"]:
        chosen["q"] = " ".join(map(_pair, options["where"]))
    elif options["search"]:
        chosen["q"] = options["search"]
    return chosen


def moment_or_span(text: str, now: Callable[[], dt.datetime]) -> str:
    """A time as it was given; of a span such as ``15m`` the time that was so long ago."""
    if span := _SPAN.fullmatch(text.strip()):
        return (now() - dt.timedelta(seconds=int(span[1]) * _SECONDS[span[2]])).isoformat()
    return text


def _pair(text: str) -> str:
    """``customer.name=Ada Lovelace`` as the list's search writes it: ``customer.name="Ada Lovelace"``."""
    path, sign, value = text.partition("=")
    if not sign or not re.fullmatch(r"[A-Za-z_][\w-]*(\.[\w-]+)*", path):
        raise CommandError(f"--where {text!r}: write the path of an argument and its value, such as account_id=7.")
    is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return text if is_quoted or not re.search(r'[\s"]', value or " ") else f"{path}={json.dumps(value, ensure_ascii=False)}"
