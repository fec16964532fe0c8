"""A client of the locks, for the histories: takes, works, writes, gives back, in a loop until it is killed.

    python -m tests.lock_client FILE SEED VARIANT

Variants: ``right``; ``unfenced`` writes without its token, and is told of a loss only afterwards; ``unrenewed`` keeps no
lease and believes that it holds for ever.
Its database has the tables of ``tests.lock_rows``.
"""

import json
import os
import random
import sys
import threading
import time
from typing import Any

import django

SEMAPHORE, RATE, BURST = 2, "20/s", 3


class Client:
    """See the module."""

    def __init__(self, file: str, seed: str, variant: str) -> None:
        self.file = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.random = random.Random(seed)
        self.variant = variant
        self.pause = threading.Event()

    def say(self, what: str, **fields: Any) -> None:
        """Write an event down; a kill afterwards does not undo it."""
        os.write(self.file, json.dumps({"what": what, **fields}).encode() + b"\n")

    def run(self) -> None:
        """Until somebody kills it."""
        from furrow import LockError, LockLost, lock, semaphore

        while os.getppid() != 1:
            kind = self.random.choice(["lock", "lock", "lock", "semaphore", "rate"])
            try:
                if kind == "lock":
                    self.works(lock(self.random.choice("ab"), timeout=20))
                elif kind == "semaphore":
                    self.works(semaphore("s", SEMAPHORE, timeout=20))
                else:
                    self.is_permitted()
            except (LockError, LockLost) as error:
                self.say("stopped", error=type(error).__name__, text=str(error)[:200])

    def works(self, guard: Any) -> None:
        """Hold it, and count a row up in the meantime."""
        with guard as held:
            name = f"{guard.kind}:{held.name}:{held.slot}"
            value = self.reads(name, held)
            length = 4.0 if self.variant == "unrenewed" else self.random.choice([0, 0.01, 0.05, 0.3])
            self.notes(guard, held)
            end = time.monotonic() + length
            while time.monotonic() < end:
                self.pause.wait(0.01)
                self.notes(guard, held)
            self.say("writes")  # from here on it may hold the lock of a row, and frozen it would hold up all others
            self.writes(name, held, value + 1)
        self.say("gave back", token=held.token)

    def notes(self, guard: Any, held: Any) -> None:
        """Write down that it is held, if it is."""
        at = time.monotonic()
        if self.variant == "unrenewed" or held.is_held():
            ticket = held._holding.ticket
            self.say("holds", at=at, name=f"{guard.kind}:{held.name}", slot=held.slot, token=held.token, ticket=ticket)

    def reads(self, name: str, held: Any) -> int:
        """What the row counts, after keeping earlier holders out."""
        from tests.lock_rows import Row

        if self.variant == "right":
            Row.objects.fenced(held).filter(pk=name).claim()
        return int(Row.objects.get(pk=name).value)

    def writes(self, name: str, held: Any, value: int) -> None:
        """Count it up."""
        from django.db import transaction

        from tests.lock_rows import Row, Written

        with transaction.atomic():
            rows = Row.objects.filter(pk=name)
            if self.variant == "right":
                rows.fenced(held).update(value=value)
            else:
                rows.update(value=value)
            Written._default_manager.create(name=name, token=held.token, value=value)

    def is_permitted(self) -> None:
        """Use the rate limit."""
        from furrow import rate_limit

        limit = rate_limit("r", RATE, BURST, timeout=20)
        limit.take()
        self.say("permitted", at=limit.permitted_at)


if __name__ == "__main__":
    django.setup()
    from furrow.locks.keeper import Keeper

    if sys.argv[3] == "unfenced":
        Keeper.interrupt = lambda self, holding: None  # type: ignore[method-assign]
    elif sys.argv[3] == "unrenewed":
        Keeper.look = lambda self: None  # type: ignore[method-assign]
    Client(*sys.argv[1:4]).run()
