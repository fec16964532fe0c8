"""Locked rows: due jobs whose row another transaction has locked. Each waits alone, and people are told."""

import time
import uuid
from collections.abc import Iterable, Mapping

from django.db import Error

from furrow import statements
from furrow.diagnosis.drift import note
from furrow.models.database import connection
from furrow.statements import Sendable
from furrow.statements.sessions import contended

#: Seconds between two looks at those that are known; a lock that is older is told.
LOOK, LASTING = 0.5, 3.0


class LockedRows:
    """Those that the marks met, one for the dispatcher. It is a duty as well: what lasts is written down as drift."""

    interval = 1.0

    def __init__(self) -> None:
        self._since: dict[uuid.UUID, float] = {}
        self._look_at = 0.0
        self._told: int | None = None  # nothing yet: another dispatcher's count may stand there

    def __len__(self) -> int:
        return len(self._since)

    def without(self, jobs: list[Sendable]) -> list[Sendable]:
        """Of these jobs those that are not known to be locked: others would be sent again and again."""
        if not self._since:
            return jobs
        if time.monotonic() >= self._look_at:
            self.met(())
        return [job for job in jobs if job.id not in self._since]

    def mark(self, attempts: Mapping[uuid.UUID, int], term: int) -> None:
        """Mark published jobs as queued. One that is locked stays pending, and is sent when it is free."""
        sql = statements.on(connection)
        try:
            sql.mark_queued(connection, attempts, term)
        except Error as error:
            if not contended(error):
                raise
            connection.connection.rollback()
            self.met(attempts)
            sql.mark_queued(connection, {id: attempt for id, attempt in attempts.items() if id not in self._since}, term)

    def met(self, ids: Iterable[uuid.UUID]) -> None:
        """Look which of these jobs, and of those that were locked, are locked now."""
        now = time.monotonic()
        known = self._since.keys() | set(ids)
        locked = statements.on(connection).locked(connection, known)
        self._since = {id: self._since.get(id, now) for id in map(uuid.UUID, locked)}
        self._look_at = now + LOOK

    def run_once(self) -> int:
        """Tell how many have been locked for some time; returns that."""
        if self._since:
            self.met(())
        lasting = sum(time.monotonic() - since > LASTING for since in self._since.values())
        if lasting or self._told != 0:
            note("rows_locked", lasting)
        self._told = lasting
        return lasting
