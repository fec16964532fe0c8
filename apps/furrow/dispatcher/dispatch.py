"""Dispatch: send due jobs to RabbitMQ, best priority first, about a second of work at a time.

The jobs are published first and marked ``queued`` after RabbitMQ confirmed them, without a lock in between: a worker may claim
one before it is marked (a claim accepts ``pending``), and a crash between the two makes a second message, which the claim of
the second one drops.
"""

import datetime as dt
import logging
import time
import uuid
from functools import partial

from furrow import statements
from furrow.conf import conf
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.cursor import Cursor
from furrow.dispatcher.limited import Limited
from furrow.dispatcher.locked_rows import LockedRows
from furrow.models.database import connection
from furrow.plural import counted
from furrow.rabbitmq.broker import Publisher

logger = logging.getLogger(__name__)

#: Jobs in one round of publishing, confirming and marking: half of the window, between these. A round waits for RabbitMQ's
#: disk, some 30 ms whatever its size.
BATCH, LARGEST_BATCH = 500, 2_000
#: How long messages should wait in RabbitMQ at most, in seconds.
TARGET_WAIT = 1.0
SMALLEST, LARGEST = 50, 20_000
#: Less than this part of a batch is not worth one.
ENOUGH = 4
#: Seconds between two looks at what RabbitMQ holds, while there is room.
LOOK = 0.25


class Dispatch:
    """The dispatch of one queue. Its window (messages that RabbitMQ may hold) tunes itself: it doubles when the queue ran dry
    while jobs were due, and halves when messages wait longer than ``TARGET_WAIT``."""

    def __init__(self, queue: str, publisher: Publisher, admission: Admission, locked: LockedRows | None = None) -> None:
        self.queue = queue
        self._locked = LockedRows() if locked is None else locked
        self._limited = Limited(queue, admission)
        self._parted = conf().partitioned.get(queue)
        # In a partition a job waits for the one before it with the same key, however many others there are.
        self._smallest = SMALLEST * (self._parted.partitions if self._parted else 1)
        self.window = max(BATCH, self._smallest)
        self._publisher = publisher
        self._ran_dry = False
        #: After a round: there may be more that is due. The look saw all else.
        self.more = False
        self._shrunk_at = 0.0
        #: What RabbitMQ held when this looked last, how much it may take since (or more: workers take from it), when to look.
        self.held = statements.Window()
        self._room = 0
        self._look_at = 0.0
        self._sent: Cursor[dict[int, statements.Position]] = Cursor({})
        self._oldest: Cursor[dt.datetime | None] = Cursor(None)

    def run_once(self, term: int) -> int:
        """Send one batch, if the window has room; returns how many were sent.

        Raises:
            BrokerError: RabbitMQ could not be reached. What was not marked stays pending and is sent again.
            Unserved: RabbitMQ cannot serve this queue.
        """
        self.more = False
        if self._parted is not None:
            self._publisher.prepare(self._parted)
        batch = min(max(BATCH, self.window // 2), LARGEST_BATCH)
        enough = min(batch, self.window) // ENOUGH
        if self._room < enough:
            self._look()
        if self._room < enough:
            return 0
        limit = min(self._room, batch)
        found = self._next(limit + len(self._locked))
        limited, free = self._limited.due(limit, found.more_from, term), self._limited.sort_out(found.jobs)
        jobs = self._locked.without([*limited, *free])[:limit]
        self.more = len(jobs) == limit or bool(limited) or len(free) < len(found.jobs)
        self._ran_dry = self._ran_dry and self.more
        confirmed = self._publisher.publish(self.queue, [job[:2] for job in jobs], self._keys(jobs)) if jobs else []
        if confirmed:
            attempts = {job.id: job.attempt for job in jobs}
            self._locked.mark({id: attempts[id] for id in confirmed}, term)
            self._room -= len(confirmed)
        if time.monotonic() >= self._look_at:  # now that they are on their way
            self._look()
        if len(confirmed) < len(jobs):
            lacking = counted(len(jobs) - len(confirmed), "message")
            logger.warning("Not routed, or refused: %s; queue %s is declared again.", lacking, self.queue)
        return len(confirmed)

    def seconds_until_due(self) -> float | None:
        """Until the next pending job is due (0 or less: now); ``None`` when there is none."""
        seconds = statements.on(connection).seconds_until_due(connection, self.queue, self._sent.since)
        known = [until for until in (seconds, self._limited.seconds_until_due()) if until is not None]
        return min(known, default=None)

    def _next(self, limit: int) -> statements.Due:
        """Of a queue with partitions every look begins at the beginning: a job that a cursor hides for a moment would come
        after one that was submitted later."""
        if self._parted is not None:
            return self._due(limit, {})[0]
        return self._sent.look(partial(self._due, limit))

    def _keys(self, jobs: list[statements.Sendable]) -> dict[uuid.UUID, str] | None:
        """The jobs' keys, of a queue with partitions."""
        if self._parted is None:
            return None
        return statements.on(connection).partition_keys(connection, [job.id for job in jobs], self._parted.key)

    def _held(self, since: dt.datetime | None) -> tuple[statements.Window, dt.datetime | None]:
        held = statements.on(connection).window(connection, self.queue, since)
        return held, held.oldest

    def _due(self, limit: int, since: dict[int, statements.Position]) -> tuple[statements.Due, dict[int, statements.Position]]:
        found = statements.on(connection).due(connection, self.queue, limit, since)
        return found, self._sent.since | since | found.reached

    def _look(self) -> None:
        held = self.held = self._oldest.look(self._held)
        now = time.monotonic()
        self._look_at = now + LOOK
        if held.oldest_age > TARGET_WAIT:
            if now - self._shrunk_at > TARGET_WAIT:
                self.window, self._shrunk_at = max(self._smallest, self.window // 2), now
        elif held.queued <= self.window // 4:
            if self._ran_dry:
                self.window = min(LARGEST, self.window * 2)
            self._ran_dry = True
        self._room = self.window - held.queued
