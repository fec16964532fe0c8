"""Canaries as a worker knows them: which claimed jobs are for the workers of another version of the project's code.

The ledger's thread reads them now and then; the event loop asks. Without a canary it asks nothing.
"""

import hashlib
import time
import uuid
from typing import Any, NamedTuple

from furrow import statements
from furrow.conf import conf
from furrow.errors import CANARY
from furrow.statements import Claimed

#: Seconds between two looks at the table.
EVERY = 2.0
#: A job that went back so often is run by whoever takes it: about a minute after the first time.
RETURNS = 20
#: Seconds until one is offered again: so many times how often it went back, at most.
AGAIN, AGAIN_LATEST = 0.2, 5.0


class Elsewhere(NamedTuple):
    """Why a job goes back, and for how many seconds."""

    reason: str
    seconds: float


class Canaries:
    """What was read last."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[str, float]] = {}
        self._living: frozenset[str] = frozenset()
        self._look_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._rules)

    def look(self, connection: Any) -> None:
        """Read them anew, if it is time.

        Raises:
            Error: the database is away.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + EVERY
        rules, self._living = statements.on(connection).canaries(connection)
        self._rules = {kind: (version, share) for kind, version, share in rules}

    def elsewhere(self, job: Claimed) -> Elsewhere | None:
        """Whether workers of another version shall run it; never, where none of them lives."""
        rule = self._rules.get(job.kind)
        if rule is None or job.excused >= RETURNS:
            return None
        version, share = rule
        chosen, mine = is_chosen(job.id, share), conf().version == version
        others = version in self._living if chosen else bool(self._living - {version})
        if chosen == mine or not others:
            return None
        whose = f"of version {version}" if chosen else f"of other versions than {version}"
        seconds = min(AGAIN * (job.excused + 1), AGAIN_LATEST)
        return Elsewhere(f"{CANARY} {whose}: {share:.0%} of {job.kind} are for {version}", seconds)


def is_chosen(id: str, share: float) -> bool:
    """Whether this job is of the canary's share: always the same for one job, and of a larger share those of a smaller one."""
    part = int.from_bytes(hashlib.sha256(uuid.UUID(id).bytes).digest()[:8]) / 2**64
    return part < share
