"""What a tool is, and a call of one: its arguments checked, as a user, every refusal a clear line."""

import inspect
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import pydantic
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, OperationalError

from furrow.assistant.answers import TooLarge, document, visible
from furrow.command.actor import Actor
from furrow.errors import FurrowError, did_you_mean
from furrow.models.database import connection
from furrow.statements.bounded import TookTooLong, at_most

logger = logging.getLogger(__name__)

#: Seconds that each query of a reading tool may take.
PATIENCE = 10.0
#: Tools by name.
TOOLS: "dict[str, Tool]" = {}


class Asked(pydantic.BaseModel):
    """The arguments of a tool; none of its own."""

    model_config = pydantic.ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Answer:
    """What a tool found, and sentences about what it left out."""

    value: Any
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class Tool:
    """``run`` is given who calls and the checked arguments."""

    name: str
    text: str
    arguments: type[Asked]
    run: Callable[[Actor, Any], Answer]
    #: What must be allowed: ``read``, ``act`` or ``submit``.
    scope: str
    #: It ends or holds back what runs or would run.
    destructive: bool


def tool(
    scope: str, *, destructive: bool = False
) -> Callable[[Callable[[Actor, Any], Answer]], Callable[[Actor, Any], Answer]]:
    """Make a tool of a function ``(actor, asked: some Asked) -> Answer``; its docstring is what the assistant reads."""

    def register(run: Callable[[Actor, Any], Answer]) -> Callable[[Actor, Any], Answer]:
        name, text = run.__name__, inspect.cleandoc(run.__doc__ or "")
        TOOLS[name] = Tool(name, text, get_type_hints(run)["asked"], run, scope, destructive)
        return run

    return register


class Door:
    """The tools that one assistant may use, as one actor."""

    def __init__(self, actor: Callable[[], Actor], scopes: Collection[str], needed: str) -> None:
        """``actor``: as whom; asked at each call, since permissions may have been withdrawn. ``needed``: what an assistant
        needs that lacks a ``{scope}``."""
        from furrow.assistant import doing, flows, planned, reading  # noqa: F401 - they register their tools

        self._actor, self._needed = actor, needed
        self.tools = {name: tool for name, tool in TOOLS.items() if tool.scope in scopes}

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Call a tool; returns its answer, and whether that is an error. It raises nothing."""
        try:
            return self._call(name, arguments), False
        except (CommandError, FurrowError, TooLarge) as error:
            text = str(error)
        except TookTooLong:
            text = f"It took longer than {PATIENCE:g} s and was given up. Narrow it: a state, a kind, a shorter time (since)."
        except (OperationalError, InterfaceError) as error:
            text = f"The database is away: {str(error).strip()}. "
            text += "Ask again later." if self._is_reading(name) else "Look whether it was done before you ask again."
        except DatabaseError as error:
            text = f"The database refuses: {str(error).strip()}. Has `manage.py migrate` run?"
        except Exception as error:
            logger.exception("The tool %s failed.", name)
            text = f"The tool failed ({type(error).__name__}); the server's log has the traceback."
        return visible(text)[:4_000], True

    def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        if name not in self.tools:
            raise CommandError(self._missing(name))
        tool = self.tools[name]
        try:
            asked = tool.arguments.model_validate(arguments)
        except pydantic.ValidationError as error:
            raise CommandError(f"{name}: {_explained(error, tool.arguments)}. Nothing was done.") from None
        if tool.scope != "read":
            answer = tool.run(self._actor(), asked)
        else:
            with at_most(connection, PATIENCE):
                answer = tool.run(self._actor(), asked)
        return document(answer.value, answer.left_out)

    def _missing(self, name: str) -> str:
        if name not in TOOLS:
            return f"There is no tool {name[:80]!r}: {did_you_mean(name, self.tools)}."
        scope = TOOLS[name].scope
        return f"{name} is not allowed here: that needs {self._needed.format(scope=scope)}. Nothing was done."

    def _is_reading(self, name: str) -> bool:
        return name in TOOLS and TOOLS[name].scope == "read"


def _explained(error: pydantic.ValidationError, arguments: type[Asked]) -> str:
    """Each argument at fault, the reason and the remedy."""
    found = []
    for item in error.errors(include_url=False, include_context=False):
        path = ".".join(map(str, item["loc"])) or "arguments"
        unknown = item["type"] == "extra_forbidden"
        said = did_you_mean(path, arguments.model_fields) if unknown else item["msg"][:1].lower() + item["msg"][1:]
        found.append(f"{path[:80]}: {f'is unknown; {said}' if unknown else said}")
    return "; ".join(found[:10])
