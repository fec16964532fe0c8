"""Asking for another look at nodes."""

import uuid
from collections.abc import Iterable

from furrow.models import Move

#: Rows in one INSERT.
AT_ONCE = 1_000


def look_at(nodes: Iterable[uuid.UUID]) -> None:
    """Have these nodes looked at, by a move that changes nothing."""
    Move.objects.bulk_create([Move(node=node) for node in nodes], batch_size=AT_ONCE)
