"""Slot reaper: free slots of ended jobs, and release jobs that wait for a free key."""

import logging
import time

from furrow import statements
from furrow.diagnosis.drift import note
from furrow.dispatcher.leader import Leadership
from furrow.models.database import atomic, connection
from furrow.plural import counted

logger = logging.getLogger(__name__)

#: Seconds between two notes of a look that found nothing.
NOTE = 5.0


class SlotReaper:
    """The end of a run gives its slots back itself. This finds what went another way (cancelled, expired, deleted, moved by
    hand) and what was missed."""

    interval = 1.0

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self._note_at = 0.0

    def run_once(self) -> int:
        """Give back and let go; returns how many slots and jobs."""
        sql = statements.on(connection)
        with atomic():
            if not sql.leads(connection, self._leadership.term or 0):
                return 0
            freed: int = sql.sweep(connection)
        with atomic():
            released: int = sql.release(connection) if sql.leads(connection, self._leadership.term or 0) else 0
        if freed or time.monotonic() >= self._note_at:
            self._note_at = time.monotonic() + NOTE
            note("limits_without_job", freed, freed)
        if freed:
            logger.info("Given back: %s of jobs that ended otherwise.", counted(freed, "slot"))
        return freed + released
