"""Jobs in the hand of a pool process: taken out of the channel, and not reported to have begun.

A process that dies there, or cannot unpack what it took, tells nobody which jobs those were. So after each such end the
worker looks twice, and what is in somebody's hand at both looks is handed back.
"""

import time
from collections.abc import Callable

from furrow.statements import Claimed
from furrow.worker.pool.assignments import Assignments
from furrow.worker.shortage import again_in

#: A job that no process reports to have begun this long (seconds) after a process ended is taken to be lost with it.
LOST_IN_HAND = 2.0


class InHand:
    """See the module. ``read`` takes what the processes have reported by now."""

    def __init__(
        self, assigned: Assignments, read: Callable[[], None], hand_back: Callable[[Claimed, str, float], None]
    ) -> None:
        self._assigned, self._read, self._hand_back = assigned, read, hand_back
        self._suspect_since = 0.0
        self._seen: set[Claimed] = set()  # at the last look

    def suspect(self) -> None:
        """A process has ended: it may have taken the next jobs, and not told of them."""
        if self._assigned.busy:
            self._suspect_since = time.monotonic()

    def look(self, now: float) -> None:
        """Once in a while. At the first look a living process may just have taken what is not in the channel."""
        if not self._suspect_since or now - self._suspect_since <= LOST_IN_HAND:
            return
        self._read()
        untaken = self._assigned.take_back()
        in_hand = self._assigned.in_hand()
        for job in self._assigned.give_up(in_hand & self._seen):
            self._hand_back(job, "its pool process died before it began", again_in(job.excused))
        self._seen = in_hand - self._seen
        self._suspect_since = now if self._seen else 0.0
        self._assigned.add(untaken)
