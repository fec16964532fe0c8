"""Backfilling: a thread that adds the jobs of backfills. With a connection of its own, beside the dispatcher's round: the rows
may be slow to read, and in another database."""

import datetime as dt
import logging
import threading
import time

from django.db import Error, connections
from django.db.models import Min

from furrow import statements
from furrow.backfills.moving import move_due
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.dispatcher.leader import Leadership
from furrow.models import Backfill
from furrow.models.backfill import BackfillState
from furrow.models.database import connection
from furrow.statements import sessions

logger = logging.getLogger(__name__)

#: Seconds between two looks at the rarer work: what stopped or cannot go on, and what is old.
RARE = 30.0
#: After a look that added jobs it pauses for as long as that took, at most for so many seconds.
SHARE = 0.2
#: Backfills that are named.
FEW = 3


class Backfilling(threading.Thread):
    """Moves backfills while this process leads, until it is stopped."""

    def __init__(self, leadership: Leadership) -> None:
        super().__init__(name="furrow-backfilling", daemon=True)
        self._leadership = leadership
        self._stopping = threading.Event()
        self._pause = 0.1
        self._rare_at = 0.0

    def run(self) -> None:
        """A database that is away is tried again; an exception that nobody expected is told, and it is tried again."""
        while not self._stopping.wait(self._pause):
            self._pause = conf().poll_interval
            if self._leadership.term is not None:
                self._look()
        connections.close_all()

    def stop(self) -> None:
        """End after the current transaction, for which this waits a little."""
        self._stopping.set()
        self.join(conf().poll_interval)

    def _look(self) -> None:
        try:
            self._pause = self.run_once()
        except Error as error:
            logger.warning("No backfill moved: the database %s (%s).", sessions.what_is_wrong(error), str(error).strip())
            connections.close_all()
        except Exception as error:
            troubles.failed("backfills of the dispatcher", error)
            connections.close_all()

    def run_once(self) -> float:
        """Move those that are due; returns the seconds until the next look.

        Raises:
            Error: the database is away.
        """
        began = time.monotonic()
        added = move_due(troubles.failed)
        took = time.monotonic() - began
        if began >= self._rare_at:
            self._rare_at = began + RARE
            self._tell()
            old = statements.on(connection).clock(connection) - dt.timedelta(seconds=conf().keep_failed)
            Backfill.objects.filter(finished_at__lt=old).delete()
        return min(took, SHARE) if added else self._seconds_until_due()

    def _seconds_until_due(self) -> float:
        poll = conf().poll_interval
        soonest = Backfill.objects.filter(state=BackfillState.RUNNING, next_at__isnull=False).aggregate(at=Min("next_at"))["at"]
        if soonest is None:
            return poll
        return float(min(max((soonest - statements.on(connection).clock(connection)).total_seconds(), 0.01), poll))

    def _tell(self) -> None:
        """People learn of those that stopped, and of those that cannot go on."""
        stopped = Backfill.objects.filter(state=BackfillState.STOPPED)
        if text := "; ".join(f"{row.name}: {row.reason}" for row in stopped[:FEW]):
            remedy = "Look at the jobs that failed; resume the backfill, or cancel it."
            troubles.note("backfills that stopped", f"Backfills stopped: {text}", remedy)
        held = Backfill.objects.filter(state=BackfillState.RUNNING).exclude(held="")
        if text := "; ".join(f"{row.name}: {row.held}" for row in held[:FEW]):
            troubles.note("backfills that cannot go on", f"Backfills cannot go on: {text}", "They do once they can.")
