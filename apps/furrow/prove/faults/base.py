"""The table of faults, and the scene that a fault plays on."""

import contextlib
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import amqp

from furrow.errors import BrokerError
from furrow.prove.means import LACKING
from furrow.prove.program import Program
from furrow.prove.stack import Stack


@dataclass
class Happened:
    """A fault that happened. Times are seconds since the epoch."""

    number: int
    kind: str
    began: float = 0.0
    healed: float = 0.0
    recovered: float | None = None  #: ``None``: not before the next one began
    target: str = ""  #: in words
    pids: set[int] = field(default_factory=set)  #: processes that were killed, frozen, stopped or cut off
    servers: set[str] = field(default_factory=set)  #: servers that were away for everybody
    narrowed: set[int] = field(default_factory=set)  #: processes that inherited a limit of descriptors; killed when it ended

    @property
    def recovery(self) -> float | None:
        """Seconds from its end until all worked again."""
        return None if self.recovered is None else self.recovered - self.healed


@dataclass
class Scene:
    """What a fault is given: the stack, its dice, and where it says what it hits."""

    stack: Stack
    dice: random.Random
    happened: Happened

    def pick(self, role: str) -> Program:
        """A program of this role, by the dice; it is hit with all its processes."""
        return self.hit(self.dice.choice(self.stack.of(role)))

    def leader(self) -> Program:
        """The dispatcher that leads, by the database; any one when none does or it cannot be asked. It is hit."""
        dispatchers = self.stack.of("dispatcher")
        leader = self.stack.leader()
        return self.hit(next((program for program in dispatchers if program.pid == leader), self.dice.choice(dispatchers)))

    def hit(self, program: Program) -> Program:
        """All processes of this program are hit."""
        self.happened.pids |= program.pids()
        self.happened.target = program.name
        return program

    def away(self, server: str) -> None:
        """This server is away for everybody."""
        self.happened.servers.add(server)

    def wait(self, least: float, most: float) -> None:
        """Let it last for so many seconds, by the dice."""
        time.sleep(self.dice.uniform(least, most))

    def during(self, least: float, most: float, harm: Callable[[], object], undo: Callable[[], object]) -> None:
        """Do harm, let it last for so many seconds, by the dice, and undo it whatever happens."""
        try:
            harm()
            self.wait(least, most)
        finally:
            undo()


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    name: str
    happen: Callable[[Scene], None]
    #: The roles and servers it needs for itself: two faults that share one never happen together.
    touches: frozenset[str]
    #: What the report says of it.
    doc: str
    #: What it needs of the machine, by its name in :data:`furrow.prove.means.LACKING`; empty: nothing.
    needs: str = ""


FAULTS: dict[str, Fault] = {}
#: RabbitMQ cannot be reached, or does not answer.
BROKER_AWAY = (amqp.AMQPError, BrokerError, OSError)


def fault(*touches: str, needs: str = "") -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Register a function as a fault under its own name."""

    def register(happen: Callable[[Scene], None]) -> Callable[[Scene], None]:
        FAULTS[happen.__name__] = Fault(happen.__name__, happen, frozenset(touches), happen.__doc__ or "", needs)
        return happen

    return register


def possible(database: str) -> list[str]:
    """The names of the faults that can happen here on this database (``postgresql`` or ``sqlite``)."""
    out = left_out(database)
    return [name for name in FAULTS if name not in out]


def left_out(database: str) -> dict[str, str]:
    """The faults that cannot happen here on this database, each with the reason."""
    lacking = {need: LACKING[need]() for need in {fault.needs for fault in FAULTS.values() if fault.needs}}
    found = {name: lacking.get(fault.needs, "") for name, fault in FAULTS.items()}
    if database != "postgresql":
        found |= {name: f"{database} has no server" for name, fault in FAULTS.items() if "postgres" in fault.touches}
    return {name: reason for name, reason in found.items() if reason}


def command(scene: Scene, text: str) -> bytes:
    """Tell Redis something; its answer as it came."""
    server = scene.stack.redis
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(f"AUTH {server.password}\r\n{text}\r\nQUIT\r\n".encode())
        answer = b""
        with contextlib.suppress(TimeoutError):
            while more := link.recv(65536):
                answer += more
    return answer.partition(b"\r\n")[2]


def broker(scene: Scene) -> amqp.Connection:
    """A connection to RabbitMQ, past the proxies."""
    server = scene.stack.rabbitmq
    return amqp.Connection(
        f"127.0.0.1:{server.port}", userid="furrow", password=server.password, connect_timeout=5, read_timeout=10
    )
