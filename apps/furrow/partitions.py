"""Queues with partitions: declaration, names of the parts, and which worker gets which part.

``Queue("orders", partitions=8, key="customer_id")`` stands in ``FURROW["QUEUES"]`` where a plain queue's name would; in the
environment it is written ``orders:8:customer_id``. docs/partitions.md says what it promises. Imports neither Django nor Celery:
settings may import it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

FEWEST, MOST = 2, 100
#: Why jobs there have none: the first of a line would wait for a slot that one behind it holds.
NO_LIMITS = (
    "it has partitions, where each job waits for the one before it; waiting for a limit as well could deadlock: leave the "
    "limit out, or use a queue without partitions"
)

W = TypeVar("W")


@dataclass(frozen=True)
class Queue:
    """A queue whose jobs go to one of its partitions, by the value of one argument: the same value, the same partition."""

    name: str
    #: How many, from 2 to 100.
    partitions: int
    #: The argument whose value is the key.
    key: str

    def __str__(self) -> str:
        """As the environment says it."""
        return f"{self.name}:{self.partitions}:{self.key}"

    @property
    def parts(self) -> list[str]:
        """The RabbitMQ queues that are its partitions. Their numbers have two digits, since RabbitMQ sorts them by name when it
        builds its ring anew at a start."""
        return [part_name(self.name, number) for number in range(self.partitions)]

    def problem(self) -> str:
        """What is wrong with the declaration; empty when nothing is."""
        if not isinstance(self.partitions, int) or isinstance(self.partitions, bool) or not FEWEST <= self.partitions <= MOST:
            return f"partitions={self.partitions!r} must be a whole number from {FEWEST} to {MOST}"
        if not isinstance(self.key, str) or not self.key.isidentifier():
            return f"key={self.key!r} must be the name of an argument"
        return ""


def from_text(text: str) -> "str | Queue":
    """A queue as the environment says it: ``mail``, or ``orders:8:customer_id``."""
    name, _, rest = text.strip().partition(":")
    number, _, key = rest.partition(":")
    if not rest:
        return name
    return Queue(name, int(number) if number.isdecimal() else number, key)  # type: ignore[arg-type]  # conf refuses it


def part_name(queue: str, number: int) -> str:
    """What a partition's queue is called in RabbitMQ."""
    return f"{queue}.{number:02}"


def routing_key(value: str) -> str:
    """32 characters that stand for a key's value: of any length, and telling nothing of it to who looks into RabbitMQ."""
    return hashlib.blake2b(value.encode(), digest_size=16).hexdigest()


def share_out(parts: Sequence[str], workers: Iterable[W]) -> dict[str, W]:
    """Which worker should have which partition: evenly, and so that a worker that comes or goes moves few of them.

    Each partition takes the worker with the highest hash of both names that does not have its full share yet (rendezvous
    hashing with a limit). Everybody who knows the same workers comes to the same answer.
    """
    named = {str(worker): worker for worker in workers}
    limit = -(-len(parts) // max(len(named), 1))
    taken: Counter[str] = Counter()
    shares: dict[str, W] = {}
    for part in parts if named else []:
        best = max((name for name in named if taken[name] < limit), key=lambda name: routing_key(f"{part} {name}"))
        taken[best] += 1
        shares[part] = named[best]
    return shares
