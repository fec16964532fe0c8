"""In the worker's main process: a thread that renews the locks of all its pool processes, in one call, and gives back those of
processes that died."""

import logging
import threading
import time
from collections import deque

from furrow.diagnosis import troubles
from furrow.locks import keeper, line
from furrow.locks.conf import times
from furrow.locks.errors import LockUnavailable
from furrow.plural import counted
from furrow.states import Outcome
from furrow.worker import channel
from furrow.worker.held_locks import LOST, Row
from furrow.worker.pool.running import Running

logger = logging.getLogger(__name__)


class LockRenewals(threading.Thread):
    """See the module. The methods but ``run`` are for the event loop's thread."""

    def __init__(self) -> None:
        super().__init__(name="furrow-locks", daemon=True)
        self._ended = threading.Event()
        self._freed: deque[Row] = deque()
        self._lost: dict[int, float] = {}  # token: monotonic seconds of its lease's end

    def process_gone(self, pid: int) -> None:
        """What this process held is given back at once."""
        for row in channel.held_locks.rows():
            if row.pid == pid:
                channel.held_locks.clear(row.place)
                self._freed.append(row)
                self._lost.pop(row.token, None)

    def kill_overdue(self, now: float, running: dict[int, Running]) -> None:
        """Kill the processes (``running``, by pid) that still hold what they lost though its lease is over."""
        if not self._lost:
            return
        held = {row.token: row.pid for row in channel.held_locks.rows()}
        for token in self._lost.keys() - held.keys():
            self._lost.pop(token, None)
        for token, end in list(self._lost.items()):
            one = running.get(held[token]) if token in held else None
            if now >= end and one is not None and one.kill_reason is None:
                one.kill(Outcome.CRASHED)

    def stop(self) -> None:
        """Give back what is left to give back, and end."""
        self._ended.set()
        if self.is_alive():
            self.join(5)

    def run(self) -> None:
        while not self._ended.is_set():
            self._ended.wait(min(0.25, times().step))
            with troubles.watched("renewal of the jobs' locks"):
                self.run_once()

    def run_once(self) -> None:
        """Give back, renew, tell who lost."""
        while self._freed:
            row = self._freed.popleft()
            try:
                line.release(row.label, "", row.token)
            except LockUnavailable as error:
                logger.warning("%s of a dead process falls free when its lease ends: %s", row.label, error)
        began = time.monotonic()
        held = [row for row in channel.held_locks.rows() if row.until != LOST]
        self._renew([row for row in held if row.until - began < times().lease - times().renewal], began)

    def _renew(self, due: list[Row], began: float) -> None:
        if not due:
            return
        answers = [True] * len(due)
        try:
            answers = keeper.renew([(row.label, row.slot, row.token) for row in due])
        except LockUnavailable as error:
            logger.warning("Not renewed: %s of jobs: %s", counted(len(due), "lock"), error)
        else:
            for row, still in zip(due, answers, strict=True):
                if still:
                    channel.held_locks.extend(row, began + times().lease)
        now = time.monotonic()
        for row, still in zip(due, answers, strict=True):
            if not still or channel.held_locks.until(row.place) - times().margin <= now:
                self._lose(row)

    def _lose(self, row: Row) -> None:
        """The process sees it within a moment and stops its job; it is killed when it goes on until the lease ends."""
        logger.error("process %d lost %s (token %d).", row.pid, row.label, row.token)
        self._lost[row.token] = row.until
        channel.held_locks.extend(row, LOST)
