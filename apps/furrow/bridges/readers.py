"""What a process of bridges says of itself, for the admin's page: which queues it reads, and when a message last came."""

import datetime as dt
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from furrow import statements
from furrow.bridge import Bridge
from furrow.models import BridgeReader
from furrow.models.database import connection
from furrow.rabbitmq.inbox import Arrived, Inbox


class Readers:
    """One for a process."""

    def __init__(self, node: str, bridges: Sequence[Bridge]) -> None:
        self._node, self._bridges = node, bridges
        self._messages: Counter[str] = Counter()
        self._last: dict[str, float] = {}
        self._tell_at = 0.0

    def came(self, arrived: Iterable[Arrived]) -> None:
        """These are jobs now, or kept."""
        now = time.monotonic()
        for one in arrived:
            self._messages[one.bridge.queue] += 1
            self._last[one.bridge.queue] = now

    def tell(self, inbox: Inbox, *, end: bool = False) -> None:
        """Write it down, once in a while; what was written long ago by others is deleted. ``end``: this process reads no more.

        Raises:
            Error: of the database.
        """
        now = time.monotonic()
        if now < self._tell_at and not end:
            return
        self._tell_at = now + BridgeReader.EVERY.total_seconds()
        clock = statements.on(connection).clock(connection)
        seen = clock - BridgeReader.ALIVE if end else clock
        rows = [
            BridgeReader(
                queue=bridge.queue,
                node=self._node,
                pid=os.getpid(),
                trouble=_trouble(bridge, inbox),
                messages=self._messages[bridge.queue],
                last_message_at=self._ago(bridge.queue, clock),
                started_at=clock,
                seen_at=seen,
            )
            for bridge in self._bridges
        ]
        changing = ["trouble", "messages", "last_message_at", "seen_at"]
        BridgeReader.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["queue", "node", "pid"], update_fields=changing
        )
        BridgeReader.objects.filter(seen_at__lt=clock - BridgeReader.KEPT).delete()

    def _ago(self, queue: str, clock: dt.datetime) -> dt.datetime | None:
        last = self._last.get(queue)
        return None if last is None else clock - dt.timedelta(seconds=time.monotonic() - last)


def _trouble(bridge: Bridge, inbox: Inbox) -> str:
    if bridge in inbox.paused:
        return f"more than {bridge.backlog:,} of its jobs wait"
    return inbox.refused.get(bridge, "")
