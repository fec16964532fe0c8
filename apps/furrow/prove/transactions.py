"""Transactions of submitters, which write down what they will leave, before the commit, and what came of it."""

import os
import random
import threading
import uuid
from collections.abc import Callable
from typing import Any

from furrow.prove.records import Record
from furrow.prove.spec import LOUD, QUIET

journal = Record("submits")


class RollBack(Exception):
    """Raised inside a transaction, to have it rolled back."""


class Transaction:
    """One transaction of the caller: knows the ids it will leave behind, those it will not, and what was wanted of them."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.name = uuid.uuid4().hex
        self.void: list[str] = []
        self.events: list[str] = []  # what tells each event from all others
        self.mute: list[str] = []  # of those whose savepoint is rolled back
        self.jobs: list[tuple[Any, ...]] = []
        self.asks: list[tuple[Any, ...]] = []

    def want(
        self,
        id: str,
        arguments: dict[str, Any],
        run_at: float | None = None,
        expires: tuple[float, float] | None = None,
    ) -> str:
        """A job that will have this id, unless it is rolled back."""
        self.jobs.append((id, arguments, submitter(), run_at, expires))
        return id

    def tell(self, dice: random.Random, job: str, *, kept: bool = True) -> None:
        """Publish an event that names this job."""
        from furrow import publish

        token = uuid.uuid4().hex
        (self.events if kept else self.mute).append(token)
        publish(QUIET if dice.randrange(10) else LOUD, {"token": token, "job": job})

    def run(self, work: "Callable[[Transaction], list[str]]") -> None:
        """Submit in a transaction; ``work`` returns the ids."""
        from django.db import Error, connection, transaction

        from furrow import NotUnique

        at_the_end = False
        try:
            with transaction.atomic():
                self.intend(work(self))
                # Django rolls back, and says nothing, when a savepoint could not be rolled back: its connection was cut.
                if self.way == "rolled back" or transaction.get_rollback():
                    raise RollBack
                at_the_end = True
        except (Error, RollBack, NotUnique) as error:
            if not at_the_end:  # the COMMIT was not sent
                journal.write(tx=self.name, did="rolled back")
            if isinstance(error, Error):
                connection.close()
        else:
            journal.write(tx=self.name, did="committed")

    def run_without(
        self,
        work: Callable[[uuid.UUID], Any],
        arguments: dict[str, Any],
        run_at: float | None = None,
        expires: tuple[float, float] | None = None,
    ) -> uuid.UUID | None:
        """Submit one job outside of a transaction, under an id chosen before; ``None``: nobody knows whether it is there."""
        from django.db import Error, connection

        from furrow.models.job import new_id

        id = new_id()
        self.intend([self.want(id.hex, arguments, run_at, expires)])
        try:
            work(id)
        except Error:
            connection.close()
            return None
        journal.write(tx=self.name, did="committed")
        return id

    def intend(self, ids: list[str]) -> None:
        """Before the commit."""
        wrote = {"ids": ids, "void": self.void, "events": self.events, "mute": self.mute, "jobs": self.jobs, "asks": self.asks}
        journal.write(tx=self.name, did="intent", way=self.way, **wrote)


def submitter() -> str:
    """Who submits, one after the other: this thread of this process."""
    return f"{os.getpid()}.{threading.get_ident()}"


def cancel_and_tell(id: uuid.UUID) -> None:
    """Cancel a job, and write down that it was asked, and that it was done."""
    from django.db import Error, connection

    from furrow import cancel

    journal.write(did="cancel", job=id.hex)
    try:
        changed = cancel(id)
    except Error:
        connection.close()
    else:
        journal.write(did="cancelled", job=id.hex, changed=changed)
