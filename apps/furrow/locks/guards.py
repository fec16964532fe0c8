"""``lock``, ``semaphore`` and ``leader``: slots that are held by lease."""

import threading
from typing import Any, Self

from furrow.locks import keeper, line
from furrow.locks.errors import LockError, LockLost
from furrow.locks.guard import Guard
from furrow.locks.held import Held, lost
from furrow.locks.keeper import Holding, Keeper

#: Slots of a semaphore, at most.
MOST_SLOTS = 1_000


class Slots(Guard[Held]):
    """Held by as many as there are slots."""

    def __init__(self, name: str, timeout: float | None, limit: int) -> None:
        super().__init__(name, timeout)
        self._limit = limit
        self._holding: Holding | None = None
        self._keeper: Keeper | None = None
        self._in_use = threading.Lock()

    def __enter__(self) -> Held:
        return self.acquire()

    def acquire(self) -> Held:
        """Wait for the lock and take it. Prefer ``with``: a lock that is not released is held until the process or job ends.

        Raises:
            NotAcquired: others held it for the whole ``timeout``.
            LockUnavailable: Redis is unreachable.
            LockError: this thread holds it already, or this object guards another block.
        """
        if not self._in_use.acquire(blocking=False):
            raise LockError(f"{self._label}: this object guards another block already. Create a {self.kind}(…) for each block.")
        try:
            self._keeper = keeper.current()
            self._holding = line.take(self._label, self._limit, self._timeout)
        except BaseException:
            self._in_use.release()
            raise
        return Held(self._holding)

    def release(self) -> None:
        """Release the lock. Does nothing when it was released before, or in a forked child of the holder's process."""
        holding, keep = self._holding, self._keeper
        if holding is None or keep is None or not holding.is_ours():
            return
        self._holding = None
        try:
            keep.let_go(holding)
            line.give_back(holding)
        finally:
            self._in_use.release()

    def __exit__(self, *raised: Any) -> None:
        holding = self._holding
        self.release()
        if holding is not None and raised[1] is None and holding.lost and holding.is_ours():
            raise lost(holding)
        if holding is not None and isinstance(raised[1], LockLost) and not raised[1].args:
            raised[1].args = lost(holding).args


class lock(Slots):
    """A lock in Redis: one holder at a time, over all processes. ``with lock("account:7") as held: …``

    First come, first served; held by a lease that is renewed in the background. ``timeout``: seconds to wait; 0: do not wait;
    ``None``: wait as long as it takes.
    """

    kind = "lock"

    def __init__(self, name: str, *, timeout: float | None = None) -> None:
        super().__init__(name, timeout, 1)

    def named(self, name: str) -> Self:
        """The same for another name."""
        return type(self)(name, timeout=self._timeout)


class leader(lock):
    """Leadership: a lock that is meant to be held for long, with names of its own."""

    kind = "leader"


class semaphore(Slots):
    """A semaphore in Redis: at most ``limit`` holders at a time (1 to 1,000). The latest caller's ``limit`` applies to all."""

    kind = "semaphore"

    def __init__(self, name: str, limit: int, *, timeout: float | None = None) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_SLOTS:
            raise LockError(f"limit: {limit!r} must be a whole number of holders, from 1 to {MOST_SLOTS:,}.")
        super().__init__(name, timeout, limit)

    def named(self, name: str) -> Self:
        """The same for another name."""
        return type(self)(name, self._limit, timeout=self._timeout)
