"""Lookout: a thread for duties that must not wait for RabbitMQ.

In the dispatcher's round a hang of RabbitMQ would hold up the rescue for several seconds each time. With a short lease it would
take that for an outage of the dispatcher itself, and give grace again and again. In this thread, with a connection to the
database of its own, nothing but the database can hold it up.
"""

import logging
import threading

from django.db import Error

from furrow.diagnosis import troubles
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.rescue import Rescue
from furrow.locks.wakeup import wake
from furrow.models.database import connection
from furrow.statements import sessions

logger = logging.getLogger(__name__)


class Lookout(threading.Thread):
    """Rescues while this process leads, until it is stopped."""

    def __init__(self, leadership: Leadership) -> None:
        super().__init__(name="furrow-lookout", daemon=True)
        self._leadership = leadership
        self._rescue = Rescue()
        self._stopping = threading.Event()

    def run(self) -> None:
        """A database that is away is tried again; an exception that nobody expected is told, and it is tried again."""
        while not self._stopping.wait(self._rescue.interval):
            if self._leadership.term is not None:
                self._look()
        connection.close()

    def stop(self) -> None:
        """End after the current look, for which this waits a little."""
        self._stopping.set()
        self.join(self._rescue.interval)

    def _look(self) -> None:
        try:
            if self._rescue.run_once():
                wake()  # what was taken back is sent at once
        except Error as error:
            what = sessions.what_is_wrong(error)
            logger.warning("No worker's lease was looked at: the database %s (%s).", what, str(error).strip())
            connection.close()
        except Exception as error:
            troubles.failed("rescue of the dispatcher", error)
            connection.close()
