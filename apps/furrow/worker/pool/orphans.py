"""What the database says that this worker runs, beside what it knows itself."""

import logging
from collections.abc import Callable, Mapping

from furrow.plural import counted
from furrow.worker.pool.assignments import Assignments
from furrow.worker.pool.running import Running

logger = logging.getLogger(__name__)


class Orphans:
    """Compares with every heartbeat."""

    def __init__(self, assigned: Assignments, running: Mapping[int, Running], release: Callable[[list[str]], None]) -> None:
        self._assigned, self._running, self._release = assigned, running, release
        self._unknown: set[str] = set()

    def compare(self, ids: list[str]) -> None:
        """Jobs that this worker does not know of at two heartbeats in a row go back: the answer to their claim, or the commit
        that settled them, was lost in a crash or a failover of the database. (These answers may be old, when the event loop was
        held up; so the ledger settles what has ended before it gives anything back.)"""
        unknown = set(ids) - {job.id for job in self._assigned} - {running.job.id for running in self._running.values()}
        if lost := unknown & self._unknown:
            logger.warning("Handed back: %s of this worker by the database, which it does not run.", counted(len(lost), "job"))
            self._release(sorted(lost))
        self._unknown = unknown - lost
