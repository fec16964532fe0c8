"""Bridges: how a queue that other programs own is declared, whose messages become jobs.

``Bridge("hello", "hello.log_message", durable=False)`` stands in ``FURROW["BRIDGES"]``; docs/bridges.md says what it promises.
Imports neither Django nor Celery: settings may import it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What a body may be taken for, the types of queues and of exchanges, and what tells that a message came before.
BODIES = ("", "text", "json", "base64")
TYPES = ("classic", "quorum", "stream")
EXCHANGES = ("direct", "topic", "fanout", "headers")
KNOWN_BY = ("", "id", "body")
#: Where a stream is read from when it is read for the first time.
STARTS = ("first", "next", "last")


@dataclass(frozen=True)
class Bridge:
    """A queue, and the kind that each of its messages becomes a job of."""

    queue: str
    #: The kind's name.
    kind: str
    #: The argument that gets the body; empty: the only argument, or, of a kind with several, the body is a JSON object of them.
    argument: str = ""
    #: How the argument gets it: as ``text``, as what its ``json`` says, in ``base64``. Empty: by the content type, and by the
    #: argument's type hint where that says nothing.
    body: str = ""
    #: The argument that gets the headers, as a JSON object; empty: none.
    headers: str = ""
    #: What tells that a message came before, so that it becomes no second job: its ``id`` (AMQP's message-id), or its ``body``.
    #: Empty: the id where there is one.
    known_by: str = ""
    #: Declare the queue if it is not there. ``False``: wait until it is.
    declare: bool = True
    type: str = "classic"
    durable: bool = True
    auto_delete: bool = False
    #: One process reads at a time, and the next one follows when it ends: so jobs are made in the order of the messages.
    single_active: bool = False
    #: Of a stream, where reading begins: at its ``first`` message, at the ``last`` one there is, or at the ``next`` to come.
    start: str = "first"
    #: More arguments of the declaration, such as ``x-max-length``.
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: An exchange to bind the queue to; it is declared, durable, with this type.
    exchange: str = ""
    exchange_type: str = "topic"
    routing_key: str = "#"
    #: More routing keys to bind it with.
    more_keys: tuple[str, ...] = ()
    #: Messages that are held at once, not yet jobs.
    prefetch: int = 200
    #: Jobs of the kind that wait, and above which nothing more is read.
    backlog: int = 10_000

    def problem(self) -> str:
        """What is wrong with the declaration; empty when nothing is."""
        texts = ("queue", "kind", "argument", "body", "headers", "known_by", "type", "exchange", "exchange_type", "start")
        for name in texts:
            if not isinstance(getattr(self, name), str):
                return f"{name}={getattr(self, name)!r} must be a text"
        for name in ("queue", "kind"):
            if not 1 <= len(getattr(self, name).encode(errors="replace")) <= 255:
                return f"{name} must have 1 to 255 bytes"
        choices = {"body": BODIES, "type": TYPES, "exchange_type": EXCHANGES, "known_by": KNOWN_BY, "start": STARTS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                return f"{name}={getattr(self, name)!r} must be {' or '.join(map(repr, filter(None, known)))}"
        for name in ("prefetch", "backlog"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= 1_000_000:
                return f"{name}={value!r} must be a whole number from 1 to 1,000,000"
        if self.type != "classic" and (not self.durable or self.auto_delete):
            return f"a queue of type {self.type} is durable and is not deleted by itself: leave out durable and auto_delete"
        if self.single_active and (not self.declare or self.type == "stream"):
            what = "a stream keeps its order without it" if self.declare else "who declares the queue decides that"
            return f"single_active is part of a declaration, and {what}: leave it out"
        return ""
