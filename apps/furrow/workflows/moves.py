"""Asking for another look at nodes; nodes in parts that one statement takes."""

import uuid
from collections.abc import Collection, Iterable

from furrow.models import Move

#: Rows in one statement.
AT_ONCE = 1_000


def look_at(nodes: Iterable[uuid.UUID]) -> None:
    """Have these nodes looked at, by a move that changes nothing."""
    Move.objects.bulk_create([Move(node=node) for node in nodes], batch_size=AT_ONCE)


def batched(ids: Collection[uuid.UUID]) -> Iterable[list[uuid.UUID]]:
    """These in parts, in one order for all."""
    ordered = sorted(ids)
    for at in range(0, len(ordered), AT_ONCE):
        yield ordered[at : at + AT_ONCE]
