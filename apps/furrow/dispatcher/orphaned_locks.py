"""Orphaned locks: count locks in Redis whose run has ended; they fall free when their leases end."""

import logging

from furrow.actions.locks import without_holder
from furrow.diagnosis.drift import note
from furrow.locks.errors import LockUnavailable

logger = logging.getLogger(__name__)


class OrphanedLocks:
    """Counts, and changes nothing."""

    interval = 10.0

    def run_once(self) -> int:
        """Look; returns how many. Without Redis there is nothing to see."""
        try:
            found = len(without_holder())
        except LockUnavailable as error:
            logger.debug("locks were not looked at: %s", error)
            return 0
        note("locks_without_holder", found)
        return found
