"""Strays: locks in Redis that are held for a run that is over. They fall free at their leases' ends; here they are counted."""

import logging

from apps.jobs.drift import note
from apps.jobs.locks import without_holder
from apps.locks.errors import LockUnavailable

logger = logging.getLogger(__name__)


class Strays:
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
