"""Locks without Redis: of this process alone, for tests of code that takes some."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from furrow.locks import keeper, line
from furrow.locks.errors import LockError, NotAcquired
from furrow.locks.keeper import Holding
from furrow.locks.rate import rate_limit


class LocalLocks:
    """Who holds what here."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: list[Holding] = []
        self._tokens = itertools.count(1)

    def take(self, label: str, limit: int, timeout: float | None) -> Holding:
        """In the place of :func:`furrow.locks.line.take`.

        Raises:
            NotAcquired: other threads held it all the time.
            LockError: this thread holds it already.
        """
        with self._changed:
            if any(held.label == label and held.thread is threading.current_thread() for held in self._held):
                raise LockError(f"{label} is held here already: locks are not reentrant.")
            if not self._changed.wait_for(lambda: self._free(label, limit) is not None, timeout):
                raise NotAcquired(f"{label} was held by others for {timeout:g} s.")
            slot = self._free(label, limit)
            assert slot is not None
            holding = Holding(label, "a test", next(self._tokens), slot, float("inf"))
            self._held.append(holding)
            return holding

    def give_back(self, holding: Holding) -> None:
        """In the place of :func:`furrow.locks.line.give_back`."""
        with self._changed:
            if holding in self._held:
                self._held.remove(holding)
                self._changed.notify_all()

    def of_this_thread(self) -> list[Holding]:
        """What it holds."""
        return [holding for holding in self._held if holding.thread is threading.current_thread()]

    def _free(self, label: str, limit: int) -> int | None:
        taken = {held.slot for held in self._held if held.label == label}
        return next((slot for slot in range(limit) if slot not in taken), None)


_local: LocalLocks | None = None


@contextmanager
def local_locks() -> Iterator[None]:
    """Within it ``lock``, ``semaphore`` and ``leader`` need no Redis: they hold between the threads of this process, and are
    never lost. ``rate_limit`` gives every permit at once::

        with local_locks():
            drain()
    """
    global _local
    there = line.take, line.give_back, rate_limit.take, _local
    _local = LocalLocks()
    line.take, line.give_back = _local.take, _local.give_back
    rate_limit.take = _permitted  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        line.take, line.give_back, rate_limit.take, _local = there  # type: ignore[method-assign]


def held() -> list[Holding]:
    """The locks that this thread holds, of either sort."""
    here = [holding for holding in keeper.current().holdings if holding.thread is threading.current_thread()]
    return here + (_local.of_this_thread() if _local else [])


def give_back_all_but(before: list[Holding]) -> None:
    """A run that has ended holds nothing, whatever it forgot: as in a worker."""
    for holding in held():
        if holding not in before:
            keeper.current().let_go(holding)
            line.give_back(holding)


def _permitted(limit: Any) -> float:
    limit.permitted_at = time.time()
    return 0.0
