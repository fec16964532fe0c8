"""A command of the command line, whose JSON goes to the caller instead of to standard output."""

from collections.abc import Callable
from typing import Any

from furrow.command.actor import Actor
from furrow.command.here import Here
from furrow.command.output import Output
from furrow.command.source import Source

#: What commands on jobs are asked that a tool does not ask.
_UNSAID: dict[str, Any] = dict.fromkeys(
    [
        *("state", "kind", "queue", "worker", "by", "tag", "batch", "since", "until", "where", "search"),
        *("ids", "value", "file", "json_args", "priority", "countdown", "at", "expires", "max_attempts", "timeout"),
    ]
) | {"all": False, "yes": False, "no_wait": True, "wait": False, "words": [], "drain": False, "reason": ""}


def told(command: Callable[[Output, Source, dict[str, Any]], int], actor: Actor, **options: Any) -> Any:
    """What the command prints with ``--json``.

    Raises:
        CommandError, FurrowError: it refuses.
    """
    output = _Kept()
    command(output, Here(actor), _UNSAID | options)
    return output.value


class _Kept(Output):
    """Keeps the result; remarks are for people."""

    def __init__(self) -> None:
        self.as_json = True
        self.value: Any = None

    def json(self, value: Any) -> None:
        self.value = value

    def say(self, text: str) -> None:
        pass
