"""Leader election: one dispatcher leads, by a lease row in the database with a term."""

import datetime as dt
import os
import socket
import time

from django.db.models.functions import Coalesce, Now

from furrow import statements
from furrow.conf import conf
from furrow.models import Leader
from furrow.models.database import connection
from furrow.statements import sessions

ROLE = "dispatcher"
RENEWALS = 3


class Leadership:
    """This process's claim to lead. ``term`` guards its writes: a leader that slept through its lease can change nothing."""

    def __init__(self) -> None:
        self.session = sessions.new_name()
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{self.session}"
        self.term: int | None = None
        self._next = 0.0
        #: Another's lease as its row has it (holder, end), and since when it has been that.
        self._seen: tuple[str, dt.datetime] | None = None
        self._seen_since = 0.0
        #: Rounds were completed since that was last told; it was told in this term.
        self._progressed = self._told = False

    def hold(self) -> bool:
        """Take, keep or lack the lease; asks the database three times in its length."""
        now = time.monotonic()
        if now >= self._next:
            over = self._over(now) if self.term is None else None
            if over is not None:
                # Frozen in the middle of a transaction it would keep the lease's row locked.
                sessions.end([over[0].rpartition(":")[2]])
            end = over[1] if over else None
            before = self.term
            self.term = statements.on(connection).lead(connection, ROLE, self.holder, conf().leader_lease, end)
            self._next = now + conf().leader_lease / RENEWALS
            if self.term != before:
                self._tell_progress(False)
            elif self._progressed:
                self._tell_progress(True)
        return self.term is not None

    @property
    def other(self) -> str:
        """Who leads instead, as this process saw it last."""
        return self._seen[0] if self._seen else ""

    def progressed(self) -> None:
        """A round was completed. That is told with the renewals, of a new leader at once."""
        self._progressed = True
        if not self._told:
            self._tell_progress(True)

    def _tell_progress(self, any: bool) -> None:
        if self.term is not None:
            Leader.objects.filter(role=ROLE, holder=self.holder).update(progressed_at=Now() if any else None)
        self._progressed, self._told = False, any

    def _over(self, now: float) -> tuple[str, dt.datetime] | None:
        """Another's lease (holder, end) that is over: by the database's clock, or because its row has stood unchanged for the
        length of a lease on this process's monotonic clock. The database's may have been set back."""
        now_there = Now(output_field=Leader._meta.get_field("lease_until"))
        other = Leader.objects.filter(role=ROLE).exclude(holder=self.holder).annotate(now=now_there).first()
        seen = (other.holder, other.lease_until) if other else None
        if seen != self._seen:
            self._seen, self._seen_since = seen, now
        if other and (other.lease_until < other.now or now - self._seen_since >= conf().leader_lease):
            return seen
        return None

    def doubt(self) -> None:
        """Something went wrong: ask again before the next step."""
        self._next = 0.0

    def say(self, trouble: str) -> None:
        """Tell people what holds the dispatcher up, without a full stop: the pages say since when. Empty when nothing does."""
        since = Coalesce("troubled_since", Now()) if trouble else None
        Leader.objects.filter(role=ROLE, holder=self.holder).update(trouble=trouble.rstrip("."), troubled_since=since)

    def resign(self) -> None:
        """Let another lead at once."""
        Leader.objects.filter(role=ROLE, holder=self.holder).update(lease_until=Now())
        self.term = None
