"""Outbox: publish what happened. A thread of the leader's, so that no hang of dispatch makes events late, and no hang of theirs
holds up a job.

What is not published is looked for, and never what is behind a place in the table: transactions commit in another order than
that of their ids. Of one job they do not, since each move waits for the row that the one before has changed; so its events go
out in their order. An event is marked after RabbitMQ has confirmed it: if the dispatcher dies in between, it is published
twice.
"""

import logging
import threading
from collections.abc import Collection, Sequence

from django.db import Error

from furrow import statements
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.dispatcher.leader import Leadership
from furrow.errors import BrokerError
from furrow.events.subscribers import queues, wanted_of_jobs
from furrow.models.database import atomic, connection
from furrow.plural import counted
from furrow.rabbitmq.events import EventPublisher
from furrow.statements import Outgoing, sessions
from furrow.tables import EVENT, JOB
from furrow.webhooks import deliveries

logger = logging.getLogger(__name__)

#: Events in one round of publishing, confirming and marking.
BATCH = 500
#: Seconds between two looks, while there are events of jobs, which nobody tells of; between two looks at the triggers; after a
#: failure.
LOOK, TRIGGERS, RETRY = 0.1, 30.0, 1.0
#: SQLSTATE of a right that is missing.
DENIED = "42501"


class Outbox(threading.Thread):
    """Publishes while this process leads, until it is stopped."""

    def __init__(self, leadership: Leadership) -> None:
        super().__init__(name="furrow-outbox", daemon=True)
        self._leadership = leadership
        self._publisher = EventPublisher(queues())
        self._patterns = wanted_of_jobs()  # and, once it leads, what webhooks want
        self._called = threading.Event()
        self._stopping = False
        self._said = ""
        #: The term in which the triggers were looked at, and how many looks ago.
        self._term: int | None = None
        self._waited = 0.0

    def run(self) -> None:
        """A store that is away is tried again; an exception that nobody expected is told, and it is tried again."""
        while not self._stopping:
            self._called.clear()
            seconds = 0.0 if self._leadership.term is None else self._look()
            if seconds >= 0:
                self._rest(seconds or (LOOK if self._patterns else conf().poll_interval))
        self._publisher.close()
        connection.close()

    def call(self) -> None:
        """Look now: there may be events."""
        self._called.set()

    def stop(self) -> None:
        """End after the current batch, for which this waits a little."""
        self._stopping = True
        self._called.set()
        self.join(RETRY)

    def run_once(self) -> int:
        """Publish a batch; returns how many events were found.

        Raises:
            BrokerError: RabbitMQ is away, or refused some. What was not confirmed is published again.
        """
        sql, term = statements.on(connection), self._leadership.term
        if term is None:
            return 0
        found = sql.unpublished(connection, BATCH)
        if found:
            confirmed = self._publisher.send(found)
            done = set(in_order(found, confirmed))
            with atomic():
                deliveries.of([event for event in found if event.id in done])
                sql.mark_published(connection, sorted(done), term)
            if len(confirmed) < len(found):
                raise BrokerError(
                    f"RabbitMQ refused {len(found) - len(confirmed):,} of {counted(len(found), 'event')}, which are published "
                    "again: is a queue full that is bound to furrow.events?"
                )
        return len(found)

    def keep_triggers(self) -> bool:
        """Let the moves of jobs be written down if somebody wants them, and only then; whether that was changed."""
        self._patterns = wanted_of_jobs(deliveries.patterns())
        changed = statements.on(connection).tell_of_jobs(connection, self._patterns)
        if changed:
            logger.info("Events of jobs are %s.", "written from now on" if self._patterns else "not written any more")
        return changed

    def _look(self) -> float:
        """One round; returns how long to wait (seconds; 0: as usual, less: not at all)."""
        try:
            if self._term != self._leadership.term or self._waited >= TRIGGERS:
                self._term, self._waited = self._leadership.term, 0.0
                self._try_triggers()
            many = self.run_once()
            self._say("")
            return -1.0 if many == BATCH else 0.0
        except BrokerError as error:
            self._say(f"No events are published: {error}")
            troubles.note("publishing of events", f"No events are published: {error}", f"They wait in the table {EVENT}.")
        except Error as error:
            self._say(f"No events are published: the database {sessions.what_is_wrong(error)} ({str(error).strip()})")
            connection.close()
        except Exception as error:
            troubles.failed("publishing of events", error)
            connection.close()
        self._called.clear()
        return RETRY

    def _rest(self, seconds: float) -> None:
        self._waited += seconds
        self._called.wait(seconds)

    def _try_triggers(self) -> None:
        """Events that are there are published in any case."""
        try:
            self.keep_triggers()
        except Error as error:
            if sessions.contended(error):
                self._waited = TRIGGERS - RETRY
            elif getattr(error.__cause__, "sqlstate", "") != DENIED:
                raise
            else:
                text = f"The triggers that write events of jobs cannot be changed: {str(error).strip()}"
                troubles.tell("triggers of events", text, f"Let the dispatcher's database role own the table {JOB}.")
            connection.close()

    def _say(self, trouble: str) -> None:
        if trouble != self._said:
            (logger.warning if trouble else logger.info)(trouble or "Events are published again.")
            self._said = trouble


def in_order(found: Sequence[Outgoing], confirmed: Collection[int]) -> list[int]:
    """Of these events those that need not be published again: confirmed, and none before it of the same job was not."""
    done, behind = [], set()
    for event in found:
        if event.id not in confirmed and event.job:
            behind.add(event.job)
        if event.id in confirmed and event.job not in behind:
            done.append(event.id)
    return done
