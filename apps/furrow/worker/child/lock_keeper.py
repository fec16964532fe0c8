"""In the pool process: the locks of the job that runs. The worker's main process renews them; this side stops the job when one
is lost, also when the main process itself is dead or frozen and renews nothing any more."""

import os
import signal
import threading

from billiard import current_process

from furrow.context import _run
from furrow.locks import keeper, line, owner
from furrow.locks.errors import LockError
from furrow.locks.held import lost
from furrow.locks.keeper import Holding
from furrow.worker import channel
from furrow.worker.held_locks import LOST, MOST


class JobLocks(keeper.Keeper):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._told: list[Holding] = []
        self._of_run: list[Holding] = []  # what the job took and has not given back; also what it lost

    def keep(self, holding: Holding) -> None:
        """From now on the main process keeps its lease.

        Raises:
            LockError: the job holds too many.
        """
        process = int(getattr(current_process(), "index", 0))
        place = channel.held_locks.add(process, self.pid, holding.label, holding.slot, holding.token, holding.until)
        if place is None:
            raise LockError(f"{holding.label}: a job may hold {MOST} locks at a time, and this one does. Give one back first.")
        holding.place = place
        self._of_run.append(holding)
        super().keep(holding)

    def let_go(self, holding: Holding) -> None:
        """Keep it no longer."""
        super().let_go(holding)
        if holding.place >= 0:
            channel.held_locks.clear(holding.place)
            holding.place = -1
        if holding in self._of_run:
            self._of_run.remove(holding)

    def renew(self, holdings: list[Holding]) -> None:
        """See what the main process renewed."""
        for holding in holdings:
            if (place := holding.place) < 0:
                continue
            until = channel.held_locks.until(place)
            if until == LOST:
                self.lose(holding, "it was broken, or Redis does not know of it any more")
            elif holding in self.holdings:
                holding.until = until

    def interrupt(self, holding: Holding) -> None:
        """Stop the job: its handler runs in the main thread, and a signal reaches it also in a call that waits."""
        self._told.append(holding)
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGUSR2)

    def spare(self, holding: Holding) -> None:
        """It ended before it was told."""
        if holding in self._told:
            self._told.remove(holding)

    def check(self) -> None:
        """See :func:`check`."""
        if self._told:
            raise lost(self._told.pop())

    def end_of_run(self) -> None:
        """See :func:`end_of_run`."""
        for holding in list(self._of_run):  # a row that is left would have a later job killed, for a lock that it never had
            self.let_go(holding)
            line.give_back(holding)
        self._told.clear()


_locks: JobLocks | None = None


def install() -> None:
    """Locks that a job takes in this process are kept by the main process from now on."""
    keeper.in_job = _of_this_job


def check() -> None:
    """Stop here if the job lost a lock.

    Raises:
        LockLost: once for each.
    """
    if _locks is not None:
        _locks.check()


def end_of_run() -> None:
    """A job that has ended holds nothing, whatever it forgot."""
    if _locks is not None:
        _locks.end_of_run()


def _of_this_job() -> JobLocks | None:
    global _locks
    run = _run.get()
    if run is None:
        return None
    if _locks is None or _locks.pid != os.getpid():
        _locks = JobLocks()
    _locks.owner = owner.of_job(run.id, run.attempt)
    return _locks
