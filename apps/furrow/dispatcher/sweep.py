"""Sweep: delete uploaded files whose jobs are gone."""

import logging
import time

from django.db import Error

from furrow import statements
from furrow.models.database import connection
from furrow.submission import uploads

logger = logging.getLogger(__name__)


#: Seconds of sweeping in one round, which dispatch waits for; between two rounds; between two looks at all folders.
ROUND, BUSY, IDLE = 0.2, 1.0, 3600.0
#: Failures of the storage after which the rest waits for the next look: nothing depends on it.
FAILURES = 3


class Sweep:
    """Once an hour, beginning with the first: for about ``ROUND``, and on from there in the next round."""

    def __init__(self) -> None:
        self.interval = BUSY
        self._left: list[str] | None = None  # folders; ``None``: to be looked for
        self._failures = 0

    def run_once(self) -> int:
        """Returns how many jobs' files were deleted."""
        swept, until = 0, time.monotonic() + ROUND
        try:
            if self._left is None:
                self._left, self._failures = uploads.old_folders(statements.on(connection).clock(connection)), 0
            swept = uploads.sweep(self._left, until)
        except Error:
            raise
        except Exception as error:  # each storage has errors of its own
            logger.warning("The files of jobs that are gone could not be deleted (%s).", error)
            self._failures += 1
        if not self._left or self._failures >= FAILURES:
            self._left = None
        self.interval = BUSY if self._left else IDLE
        return swept
