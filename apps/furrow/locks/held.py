"""What a holder has in hand."""

import time

from furrow.locks.conf import times
from furrow.locks.errors import LockLost
from furrow.locks.keeper import Holding


class Held:
    """A lock that is held, or was. ``token`` is its fencing token: it grows with every holder of a name, and never goes back.
    ``slot``: which of a semaphore's places this is, counted from 0."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self.name = holding.label.partition(":")[2]
        self.token = holding.token
        self.slot = holding.slot

    def __repr__(self) -> str:
        return f"<{self._holding.label} held, token {self.token}>"

    def is_held(self) -> bool:
        """By this process's own clock: it is still ours and will be for a moment. Costs nothing. Never in a child."""
        holding = self._holding
        return not holding.lost and time.monotonic() < holding.until - times().margin and holding.is_ours()

    def check(self) -> None:
        """Stop here if it is lost.

        Raises:
            LockLost: it is.
        """
        if not self.is_held():
            raise lost(self._holding)


def lost(holding: Holding) -> LockLost:
    """The error that says so."""
    if not holding.is_ours():
        return LockLost(
            f"{holding.label} (token {holding.token}) is held by process {holding.pid}, which started this one: only that "
            "one is told when it is lost. Write there, or take a lock of your own here."
        )
    reason = holding.lost or "its lease ends before it was renewed"
    return LockLost(f"{holding.label} (token {holding.token}) is lost: {reason}. Stop: somebody else may hold it soon.")
