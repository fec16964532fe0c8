"""The lease: a worker owns what it runs only while its heartbeat lives."""

import logging
import os
import time
import uuid
from collections.abc import Callable
from typing import Any

from furrow import statements
from furrow.conf import conf
from furrow.models.job import new_id
from furrow.statements import Report, sessions

logger = logging.getLogger(__name__)

#: A lease is renewed this many times in its length.
RENEWALS = 3


class Lease:
    """A worker's row and its renewal. The ledger's thread calls the methods that take a connection.

    ``worker`` is the id under which jobs are claimed; after a lost lease the worker begins a new life under a new id.
    Times are on this process's monotonic clock, measured from before the renewal was sent: so it ends here no later than it
    ends on the database's clock.
    """

    def __init__(self, node: str, describe: Callable[[], dict[str, Any]], report: Callable[[], Report] = Report) -> None:
        self.node = node
        self.worker: uuid.UUID = new_id()
        #: Stays the same in a new life: it is the process's.
        self.session = sessions.new_name()
        self._describe = describe
        self._report = report
        self._registered = False
        #: How many leases were lost in this process; a change means that nothing of before is ours any more.
        self.lost = 0
        self._ends = 0.0
        self._next = 0.0

    def is_due(self) -> bool:
        """Time to renew."""
        return time.monotonic() >= self._next

    def hasten(self) -> None:
        """Renew it soon: there is news to report."""
        self._next = 0.0

    def retry_in(self, seconds: float) -> None:
        """It could not be renewed now."""
        self._next = time.monotonic() + seconds

    def seconds_until_due(self) -> float:
        """Seconds until then."""
        return max(0.0, self._next - time.monotonic())

    def is_held(self, margin: float = 0.0) -> bool:
        """It is still ours, and will be for ``margin`` seconds."""
        return time.monotonic() + margin < self._ends

    def renew(self, connection: Any) -> bool:
        """Renew it, or begin a new life when it is gone; ``False``: nothing of before is ours any more."""
        length, asked, lost = conf().worker_lease, time.monotonic(), self.lost
        sql, report = statements.on(connection), self._report()
        if self._registered and not (self.is_held() and sql.renew(connection, self.worker, length, report)):
            logger.error("%s lost its lease; what it ran belongs to others now.", self.node)
            self._registered, self.worker, self.lost = False, new_id(), self.lost + 1
        if not self._registered:
            description = {"node": self.node, "pid": os.getpid(), "session": self.session, **self._describe()}
            sql.register_worker(connection, self.worker, length, description, report)
            self._registered = True
        self._ends = asked + length
        self._next = asked + length / RENEWALS
        return lost == self.lost

    def give_back(self, connection: Any) -> None:
        """The worker ends in order."""
        if self._registered:
            statements.on(connection).stop_worker(connection, self.worker, self._report())
            self._registered = False
