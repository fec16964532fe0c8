"""The submitter: ``python -m apps.prove.load SEED RATE WEB_PORT``, until SIGTERM. Submits in every way there is, and writes
down what it was told: the ids before the commit (``intent``), and what came of it (``committed``, ``rolled back``; nothing:
unknown).
"""

import os
import random
import signal
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import django

from apps.prove.records import Record

#: Seconds of jobs that may wait before the submitters pause: what is left over has to be run at the end.
BACKLOG = 20.0

#: How a submitter may submit, and how often of a hundred times.
WAYS = {
    "many": 45,
    "mixed": 19,
    "each kind": 1,
    "savepoint": 8,
    "rolled back": 8,
    "submit": 6,
    "delay": 6,
    "apply_async": 6,
    "cancelled": 1,
}

journal = Record("submits")


class RollBack(Exception):
    """Raised inside a transaction, to have it rolled back."""


class Transaction:
    """One transaction of the caller: knows the ids it will leave behind, and those it will not."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.name = uuid.uuid4().hex
        self.void: list[str] = []

    def run(self, work: "Callable[[Transaction], list[str]]") -> None:
        """Submit in a transaction; ``work`` returns the ids."""
        from django.db import Error, connection, transaction

        at_the_end = False
        try:
            with transaction.atomic():
                self.intend(work(self))
                # Django rolls back, and says nothing, when a savepoint could not be rolled back: its connection was cut.
                if self.way == "rolled back" or transaction.get_rollback():
                    raise RollBack
                at_the_end = True
        except (Error, RollBack) as error:
            if not at_the_end:  # the COMMIT was not sent
                journal.write(tx=self.name, did="rolled back")
            if isinstance(error, Error):
                connection.close()
        else:
            journal.write(tx=self.name, did="committed")

    def run_without(self, work: Callable[[uuid.UUID], Any]) -> None:
        """Submit one job outside of a transaction, under an id chosen before."""
        from django.db import Error, connection

        from apps.jobs.models.job import new_id

        id = new_id()
        self.intend([id.hex])
        try:
            work(id)
        except Error:
            connection.close()
        else:
            journal.write(tx=self.name, did="committed")

    def intend(self, ids: list[str]) -> None:
        """Before the commit."""
        journal.write(tx=self.name, did="intent", way=self.way, ids=ids, void=self.void)


def submit_something(dice: random.Random, size: int, way: str = "") -> int:
    """Submit, in this way or in one that the dice choose; returns about how many jobs."""
    from django.db import transaction

    from apps.jobs.api import Kind, cancel, submit, submit_many
    from apps.prove import kinds

    menu: list[tuple[Kind, dict[str, Any]]] = [
        (kinds.noop, {"n": dice.randrange(1000)}),
        (kinds.brief, {"milliseconds": dice.uniform(1, 50)}),
        (kinds.long, {"seconds": dice.uniform(1, 4)}),
        (kinds.flaky, {}),
        (kinds.fails, {}),
        (kinds.aborts, {}),
        (kinds.snoozes, {"times": dice.randint(1, 2)}),
        (kinds.writes, {}),
        (kinds.transactional, {}),
        (kinds.alone, {"key": dice.randrange(20), "milliseconds": dice.uniform(1, 50)}),
    ]
    weights = [50.0, 15.0, 0.5, 6.0, 2.0, 2.0, 4.0, 10.0, 10.0, 5.0]
    way = way or dice.choices(list(WAYS), list(WAYS.values()))[0]
    tx = Transaction(way)

    def one(dish: tuple[Kind, dict[str, Any]] | None = None) -> str:
        kind, arguments = dish or dice.choices(menu, weights)[0]
        # Some overtake everything: recovery is measured by them, not by how much has piled up.
        return submit(kind, arguments, priority=dice.choice([0, 3, 4, 5, 6, 7])).pk.hex

    def many(tx: Transaction) -> list[str]:
        return [id.hex for id in submit_many(kinds.noop, [{"n": n} for n in range(dice.randint(2, size))])]

    def savepoint(tx: Transaction) -> list[str]:
        ids = [one() for _ in range(dice.randint(1, 5))]
        try:
            with transaction.atomic():
                tx.void = [one() for _ in range(dice.randint(1, 5))]
                raise RollBack
        except RollBack:
            return ids

    if way in ("many", "rolled back"):
        tx.run(many if dice.random() < 0.7 or way == "many" else lambda tx: [one()])
    elif way == "mixed":
        tx.run(lambda tx: [one() for _ in range(dice.randint(1, 12))])
    elif way == "each kind":
        tx.run(lambda tx: [one(dish) for dish in menu])
    elif way == "savepoint":
        tx.run(savepoint)
    elif way == "delay":
        tx.run(lambda tx: [uuid.UUID(kinds.noop.delay(7).id).hex])
    elif way == "submit":
        tx.run_without(lambda id: submit(kinds.brief, {"milliseconds": 5}, id=id))
    elif way == "apply_async":
        tx.run_without(lambda id: kinds.noop.apply_async((7,), task_id=str(id), countdown=dice.choice([None, 0.5, 3.0])))
    else:
        tx.run_without(lambda id: (submit(kinds.long, {"seconds": 2}, id=id, countdown=dice.choice([0.0, 1.0])), cancel(id)))
    return size // 2 if way == "many" else 5


def through_the_web(port: int, dice: random.Random) -> int:
    """Have the web process submit; it writes down what came of it. A web process that does not answer is no news here."""
    body = str(dice.getrandbits(63)).encode()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/prove", data=body, timeout=5) as answer:
            return int(answer.read())
    except OSError:
        time.sleep(0.2)
        return 0


def main(seed: str, rate: float, port: int) -> None:
    """Submit about so many jobs a second, at first once in each way. It sleeps to keep that pace, and when a server is away."""
    django.setup()
    from django.db import Error, close_old_connections

    from apps.jobs.models import Job

    dice = random.Random(f"{seed}:{os.getpid()}")  # noqa: S311 - no secret
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    at_first = list(WAYS)
    ahead, looked = time.monotonic(), 0.0
    while not stopping:
        try:
            close_old_connections()
            if time.monotonic() - looked > 1.0:
                looked = time.monotonic()
                if Job.objects.filter(state__in=["pending", "queued"]).count() > BACKLOG * rate:
                    time.sleep(1.0)
                    continue
            if not at_first and dice.random() < 0.1:
                done = through_the_web(port, dice)
            else:
                done = submit_something(dice, 200, at_first.pop() if at_first else "")
        except Error:
            time.sleep(0.2)
            continue
        ahead = max(ahead + done / rate, time.monotonic() - 2.0)
        time.sleep(max(0.0, ahead - time.monotonic()))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
