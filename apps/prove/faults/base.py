"""The table of faults, and the scene that a fault plays on."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from apps.prove.program import Program
from apps.prove.stack import Stack


@dataclass
class Scene:
    """One occurrence of a fault: its dice, and what it hit."""

    stack: Stack
    dice: random.Random
    ending: threading.Event
    pids: set[int] = field(default_factory=set)  #: processes that were killed, frozen, stopped or cut off
    servers: set[str] = field(default_factory=set)  #: servers that were away for everybody
    note: str = ""  #: the target, in words

    def pick(self, role: str) -> Program:
        """A program of this role, by the dice; it and all its processes count as hit."""
        program = self.dice.choice(self.stack.of(role))
        self.hit(program)
        self.note = program.name
        return program

    def hit(self, program: Program) -> None:
        """All processes of this program are hit."""
        self.pids |= program.pids()

    def wait(self, least: float, most: float) -> None:
        """Let it last for so many seconds, by the dice; shorter when the campaign is called off."""
        self.ending.wait(self.dice.uniform(least, most))


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    name: str
    happen: Callable[[Scene], None]
    #: The roles and servers it needs for itself: two faults that share one never happen together.
    touches: frozenset[str]
    #: What the report says of it.
    doc: str


FAULTS: dict[str, Fault] = {}


def fault(*touches: str) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Register a fault under the function's name; without a PostgreSQL those that touch it are left out."""

    def register(happen: Callable[[Scene], None]) -> Callable[[Scene], None]:
        FAULTS[happen.__name__] = Fault(happen.__name__, happen, frozenset(touches), happen.__doc__ or "")
        return happen

    return register


def possible(database: str) -> list[str]:
    """The names of the faults that can happen on this database (``postgresql`` or ``sqlite``)."""
    return [name for name, fault in FAULTS.items() if database == "postgresql" or "postgres" not in fault.touches]
