"""``Held``: the lock that ``with lock(…) as held`` gives."""

import time

from furrow.locks.conf import times
from furrow.locks.errors import LockLost
from furrow.locks.keeper import Holding


class Held:
    """A lock in its holder's hands: ``with lock("account:7") as held``.

    ``token`` is the fencing token: it grows with every holder of a name and never goes back. ``slot`` is the place within a
    semaphore, counted from 0.
    """

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self.name = holding.label.partition(":")[2]
        self.token = holding.token
        self.slot = holding.slot

    def __repr__(self) -> str:
        return f"<{self._holding.label} held, token {self.token}>"

    def is_held(self) -> bool:
        """Whether the lock is still held, judged by this process's clock; asks no server. ``False`` in a forked child."""
        holding = self._holding
        return not holding.lost and time.monotonic() < holding.until - times().margin and holding.is_ours()

    def check(self) -> None:
        """Stop here if the lock is lost.

        Raises:
            LockLost: it is.
        """
        if not self.is_held():
            raise lost(self._holding)


def lost(holding: Holding) -> LockLost:
    """The error for a holding that is lost."""
    if not holding.is_ours():
        return LockLost(
            f"{holding.label} (token {holding.token}) is held by the parent process {holding.pid}; only that process "
            "notices a loss. Write there, or take a lock in this process."
        )
    reason = holding.lost or "its lease was not renewed in time"
    return LockLost(f"{holding.label} (token {holding.token}) is lost: {reason}. Stop: another holder may have it soon.")
