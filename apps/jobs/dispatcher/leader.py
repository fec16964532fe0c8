"""Who leads: one dispatcher at a time, by a lease row in the database with a term."""

import os
import socket
import time

from django.db import connection
from django.db.models.functions import Coalesce, Now

from apps.jobs import sessions, statements
from apps.jobs.conf import conf
from apps.jobs.models import Leader

ROLE = "dispatcher"
RENEWALS = 3


class Leadership:
    """This process's claim to lead. ``term`` guards its writes: a leader that slept through its lease can change nothing."""

    def __init__(self) -> None:
        self.session = sessions.new_name()
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{self.session}"
        self.term: int | None = None
        self._next = 0.0

    def hold(self) -> bool:
        """Take, keep or lack the lease; asks the database three times in its length."""
        now = time.monotonic()
        if now >= self._next:
            if self.term is None:
                self._end_sessions_of_the_last()
            self.term = statements.on(connection).lead(connection, ROLE, self.holder, conf().leader_lease)
            self._next = now + conf().leader_lease / RENEWALS
        return self.term is not None

    def _end_sessions_of_the_last(self) -> None:
        """Frozen in the middle of a transaction it would keep the lease's row locked."""
        over = Leader.objects.filter(role=ROLE, lease_until__lt=Now()).exclude(holder=self.holder)
        sessions.end(holder.rpartition(":")[2] for holder in over.values_list("holder", flat=True))

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
