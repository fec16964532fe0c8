"""The submitter: ``python -m furrow.prove.load SEED RATE WEB_PORT``, until SIGTERM. Submits in every way there is, and writes
down what it was told: the ids before the commit (``intent``), and what came of it (``committed``, ``rolled back``; nothing:
unknown).
"""

import itertools
import os
import random
import signal
import sys
import time
import urllib.request
import uuid
from typing import Any

import django

from furrow.prove.transactions import RollBack, Transaction, cancel_and_tell, submitter

#: Seconds of jobs that may wait before the submitters pause: what is left over has to be run at the end.
BACKLOG = 20.0
#: So long (seconds) a submit may take between reading the clock and writing the row.
LATE = 30.0

#: How a submitter may submit, and how often of a hundred times.
WAYS = {
    "many": 30,
    "mixed": 27,
    "each kind": 1,
    "savepoint": 8,
    "rolled back": 8,
    "submit": 6,
    "delay": 5,
    "apply_async": 5,
    "upload": 1,
    "unique": 3,
    "refused": 1,
    "scheduled": 2,
    "expiring": 2,
    "cancelled": 1,
    "workflow": 3,
    "steps": 3,
}

_numbers = itertools.count(1)


def submit_something(dice: random.Random, size: int, way: str = "") -> int:
    """Submit, in this way or in one that the dice choose; returns about how many jobs."""
    from django.core.files.base import ContentFile
    from django.db import transaction

    from furrow import Kind, submit, submit_many
    from furrow.models.job import new_id
    from furrow.prove import kinds, leftovers
    from furrow.prove.flowing import submit_a_workflow
    from furrow.prove.stepped import submit_steps
    from furrow.submission import uploads

    me = submitter()
    menu: list[tuple[float, Kind, dict[str, Any]]] = [
        (50.0, kinds.noop, {"n": dice.randrange(1000)}),
        (15.0, kinds.brief, {"milliseconds": dice.uniform(1, 50)}),
        (0.5, kinds.long, {"seconds": dice.uniform(1, 4)}),
        (6.0, kinds.flaky, {}),
        (2.0, kinds.fails, {}),
        (2.0, kinds.aborts, {}),
        (4.0, kinds.snoozes, {"times": dice.randint(1, 2)}),
        (3.0, kinds.logs, {"count": dice.randint(0, 40)}),
        (10.0, kinds.writes, {}),
        (10.0, kinds.transactional, {}),
        (0.1, kinds.overdue, {}),
        (0.1, kinds.dies, {"times": dice.randint(1, 3)}),
        (2.0, kinds.secret, {"pin": f"{dice.getrandbits(64):x}"}),
        (5.0, kinds.alone, {"key": dice.randrange(20), "milliseconds": dice.uniform(1, 50)}),
        (3.0, kinds.few, {"key": dice.randrange(5), "milliseconds": dice.uniform(1, 50)}),
        (0.5, kinds.paced, {"key": dice.randrange(4)}),
        (2.0, kinds.ordered, {"key": f"{me}:{dice.randrange(8)}", "n": next(_numbers)}),
        (4.0, kinds.lined, {"key": f"{me}:{dice.randrange(8)}", "n": next(_numbers)}),
        (2.0, kinds.fair, {"tenant": dice.randrange(6)}),
        (6.0, kinds.looks, {}),
        (6.0, kinds.leaves, {"what": dice.choice(list(leftovers.WAYS))}),
        (2.0, kinds.count, {"text": "word " * dice.randrange(20), "seconds": dice.uniform(0, 3)}),
        (1.0, kinds.forks, {"then": dice.choice(list(leftovers.CHILDREN))}),
    ]
    way = way or dice.choices(list(WAYS), list(WAYS.values()))[0]
    tx = Transaction(way)

    def one(dish: tuple[float, Kind, dict[str, Any]] | None = None) -> str:
        _, kind, arguments = dish or dice.choices(menu, [weight for weight, _, _ in menu])[0]
        # Some overtake everything: recovery is measured by them, not by how much has piled up. Lines need one priority.
        priority = 5 if kind in (kinds.lined, kinds.ordered) else dice.choice([0, 3, 4, 5, 6, 7])
        return tx.want(submit(kind, arguments, priority=priority).pk.hex, arguments)

    def told(ids: list[str]) -> list[str]:
        tx.tell(dice, ids[0])
        return ids

    def some(most: int) -> list[str]:
        return told([one() for _ in range(dice.randint(1, most))])

    def many(tx: Transaction) -> list[str]:
        rows = [{"n": n} for n in range(dice.randint(2, size))]
        return told([tx.want(id.hex, row) for id, row in zip(submit_many(kinds.noop, rows), rows, strict=True)])

    def savepoint(tx: Transaction) -> list[str]:
        ids = some(5)
        try:
            with transaction.atomic():
                tx.void = [one() for _ in range(dice.randint(1, 5))]
                tx.tell(dice, tx.void[0], kept=False)
                raise RollBack
        except RollBack:
            return ids

    def keyed(kind: Kind) -> list[str]:
        arguments = {"key": f"{me}:{dice.randrange(3)}", "n": next(_numbers)}
        job = submit(kind, arguments, countdown=dice.choice([None, 0.5]))
        tx.asks.append((f"{kind.name}:{arguments['key']}", job.pk.hex, arguments["n"], arguments))
        return [] if job.existed else [tx.want(job.pk.hex, arguments)]

    def upload(tx: Transaction) -> list[str]:
        id = new_id()
        name = uploads.save(id, ContentFile(dice.randbytes(dice.randrange(100_000))), "file")
        return [tx.want(submit(kinds.reads, {"file": name}, id=id).pk.hex, {"file": name})]

    if way == "workflow":
        tx.run(lambda tx: submit_a_workflow(dice))
    elif way == "steps":
        tx.run(lambda tx: [tx.want(id, arguments) for id, arguments in submit_steps(dice)])
    elif way in ("many", "rolled back"):
        tx.run(many if dice.random() < 0.7 or way == "many" else lambda tx: some(1))
    elif way == "mixed":
        tx.run(lambda tx: some(12))
    elif way == "each kind":
        tx.run(lambda tx: [one(dish) for dish in menu])
    elif way == "savepoint":
        tx.run(savepoint)
    elif way == "upload":
        tx.run(upload)
    elif way == "unique":
        tx.run(lambda tx: [id for kind in (kinds.once, kinds.lasting, kinds.debounced) for id in keyed(kind)])
    elif way == "refused":
        tx.run(lambda tx: keyed(kinds.only))
    elif way == "delay":
        tx.run(lambda tx: [tx.want(uuid.UUID(kinds.noop.delay(7).id).hex, {"n": 7})])
    elif way == "submit":
        tx.run_without(lambda id: submit(kinds.brief, {"milliseconds": 5}, id=id), {"milliseconds": 5})
    elif way == "apply_async":
        later = dice.choice([None, 0.5, 3.0])
        at = None if later is None else time.time() + later
        tx.run_without(lambda id: kinds.noop.apply_async((7,), task_id=str(id), countdown=later), {"n": 7}, at)
    elif way == "scheduled":
        later = dice.uniform(1, 10)
        tx.run_without(
            lambda id: submit(kinds.noop, {"n": 1}, id=id, countdown=later, priority=0), {"n": 1}, time.time() + later
        )
    elif way == "expiring":
        # Until its expiry is known for sure, it may be later by as long as the submit takes.
        span, now = dice.choice([0.05, 1.0, 10.0]), time.time()
        tx.run_without(lambda id: submit(kinds.flaky, id=id, expires=span), {}, None, (now + span, now + span + LATE))
    else:
        seconds, later = dice.choice([0.5, 4.0]), dice.choice([0.0, 1.0])
        work = lambda id: submit(kinds.long, {"seconds": seconds}, id=id, countdown=later, priority=0)  # noqa: E731
        if (id := tx.run_without(work, {"seconds": seconds})) is not None:
            time.sleep(dice.choice([0.0, 0.0, 1.0]))
            cancel_and_tell(id)
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

    from furrow.models import Job

    dice, stopping = random.Random(f"{seed}:{os.getpid()}"), list[int]()  # noqa: S311 - no secret
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    at_first, ahead, looked = list(WAYS), time.monotonic(), 0.0
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
