"""Jobs on their way to the pool processes: claimed, and not begun."""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from furrow.statements import Claimed
from furrow.worker import channel
from furrow.worker.child.runner import drain


class Assignments:
    """Puts claimed jobs into the channel and keeps as many pool processes draining it as there are jobs for.

    A job is not bound to a process before that process takes it; until then it can be taken back. Jobs of a line go there
    together: who takes the first has them all.
    """

    def __init__(
        self,
        worker: Any,
        on_unsendable: Callable[[Sequence[Claimed], BaseException], None],
        on_failed: Callable[[int, BaseException | None], None],
    ) -> None:
        """``on_unsendable``: told of a line that cannot be sent to any process, and why; it is no longer assigned.
        ``on_failed``: told which process (its pid) could not go on draining the channel, and why."""
        self._worker = worker
        self._on_unsendable, self._on_failed = on_unsendable, on_failed
        self._ready: deque[tuple[Claimed, ...]] = deque()  # lines, most of one job; not yet in the channel
        #: Not to begin before a moment of the monotonic clock: that, a number, the line.
        self._early: list[tuple[float, int, tuple[Claimed, ...]]] = []
        self._numbers = itertools.count()
        self._behind: dict[str, tuple[Claimed, ...]] = {}  # by the id of a line's first job: the others
        self._rest: dict[int, tuple[Claimed, ...]] = {}  # by pid: the line that this process has taken last
        self._handed: dict[str, Claimed] = {}  # in the channel, or in the hand of a process that has not reported yet
        self._drains: dict[int, int] = {}  # handle of a drain that runs -> pid of its process (0: not accepted yet)
        self._last_handle = 0
        #: Nothing new is started.
        self.closed = False

    def __iter__(self) -> Iterator[Claimed]:
        for _, _, line in self._early:
            yield from line
        yield from self.due()

    def __len__(self) -> int:
        return sum(len(line) for _, _, line in self._early) + sum(map(len, self._ready)) + len(self._handed)

    def due(self) -> Iterator[Claimed]:
        """Those that may begin."""
        for line in self._ready:
            yield from line
        yield from self._handed.values()

    @property
    def draining(self) -> set[int]:
        """The pool processes that drain the channel now."""
        return {pid for pid in self._drains.values() if pid}

    @property
    def starting(self) -> bool:
        """A process was told to drain the channel, and has not said that it does."""
        return 0 in self._drains.values()

    @property
    def busy(self) -> bool:
        """Something is on its way to a process, or in one."""
        return bool(self._handed or self._drains)

    def close(self) -> None:
        """Start nothing new from here on."""
        self.closed = True

    def add(self, lines: Iterable[Sequence[Claimed]]) -> None:
        """Hand these out as well, each when it may begin."""
        for line in map(tuple, lines):
            if (wait := line[0].wait) > 0:
                heapq.heappush(self._early, (time.monotonic() + wait, next(self._numbers), line))
                self._worker.hub.call_later(wait, self.hand_out)
            else:
                self._ready.append(line)
        self.hand_out()

    def hand_out(self) -> None:
        """Fill the channel, and have it drained."""
        if self.closed:
            return
        while self._early and self._early[0][0] <= time.monotonic():
            self._ready.append(heapq.heappop(self._early)[-1])
        while self._ready:
            line = self._ready[0]
            try:
                if not channel.assignments.offer(tuple(map(tuple, line))):
                    break
            except (OSError, MemoryError) as error:
                self._on_unsendable(self._ready.popleft(), error)
                continue
            self._ready.popleft()
            self._handed.update((job.id, job) for job in line)
            if len(line) > 1:
                self._behind[line[0].id] = line[1:]
        wanted = min(int(self._worker.pool.num_processes) - len(self._drains), len(self._handed))
        for _ in range(wanted):
            self._start_drain()

    def visit_all(self) -> None:
        """Have every process look at the channel once, also when there is nothing in it."""
        for _ in range(0 if self.closed else int(self._worker.pool.num_processes) - len(self._drains)):
            self._start_drain()

    def begun(self, id: str, pid: int) -> Claimed | None:
        """A process reports to have begun this job; ``None`` when it was handed back meanwhile."""
        if rest := self._behind.pop(id, None):
            self._rest[pid] = rest
        return self._handed.pop(id, None)

    def left(self, id: str) -> Claimed | None:
        """A process reports that it will not begin this job, which stood in a line."""
        return self._handed.pop(id, None)

    def rest(self, pid: int) -> list[Claimed]:
        """Of the line that this process runs: those that have not begun."""
        return [job for job in self._rest.get(pid, ()) if job.id in self._handed]

    def process_gone(self, pid: int) -> list[Claimed]:
        """This process drains nothing any more; returns the rest of its line, no longer assigned."""
        self._drains = {handle: owner for handle, owner in self._drains.items() if owner != pid}
        lost = self.give_up(self.rest(pid))
        self._rest.pop(pid, None)
        return lost

    def pool_forgot(self) -> None:
        """Celery's pool has dropped what no process had accepted yet, and will call nobody back: that drains nothing."""
        self._drains = {handle: owner for handle, owner in self._drains.items() if owner}

    def take_back(self) -> list[tuple[Claimed, ...]]:
        """All lines that no process has taken; they are no longer assigned."""
        untaken = []
        while (packet := channel.assignments.take_back()) is not None:
            if line := tuple(job for id, *_ in packet if (job := self._handed.pop(id, None))):
                self._behind.pop(line[0].id, None)
                untaken.append(line)
        untaken += [*self._ready, *(line for _, _, line in sorted(self._early))]
        self._ready.clear()
        self._early.clear()
        return untaken

    def in_hand(self) -> set[Claimed]:
        """After :meth:`take_back`: what was taken and not reported to have begun, but for the rest of lines; with a living
        process, for a moment only."""
        return set(self._handed.values()).difference(*self._rest.values())

    def give_up(self, jobs: Iterable[Claimed] | None = None) -> list[Claimed]:
        """These, or all, that were taken and not reported to have begun; no longer assigned."""
        lost = list(self._handed.values() if jobs is None else jobs)
        for job in lost:
            del self._handed[job.id]
            self._behind.pop(job.id, None)
        return lost

    def _start_drain(self) -> None:
        self._last_handle += 1
        handle = self._last_handle
        self._drains[handle] = 0

        def accepted(pid: int, _when: float) -> None:
            if handle in self._drains:
                self._drains[handle] = pid

        def over(_result: Any = None) -> None:
            if self._drains.pop(handle, None) is not None and self._handed:
                self.hand_out()

        def failed(information: Any = None) -> None:
            if (pid := self._drains.pop(handle, None)) is not None:
                error = getattr(information, "exception", None)
                self._on_failed(pid, getattr(error, "exc", error))  # billiard wraps some

        self._worker.pool.apply_async(drain, callback=over, error_callback=failed, accept_callback=accepted)
