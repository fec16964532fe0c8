"""A worker's processes and their memory, looked at by a thread of its own: the system may let who asks about a process wait,
and the heartbeat must not wait with it."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from furrow.diagnosis import troubles

#: Seconds between two looks at what a process has for itself (PSS): the system walks over all of its memory for that.
SLOW = 30.0


class ProcessStats(threading.Thread):
    """Asks ``pids`` which processes there are, and ``running`` what they run (by pid: id, kind, monotonic seconds of when it
    began)."""

    def __init__(
        self,
        interval: float,
        pids: Callable[[], Iterable[int]],
        running: Callable[[], Mapping[int, tuple[str, str, float]]],
    ) -> None:
        super().__init__(name="furrow-process-stats", daemon=True)
        #: The last look: ``{"at": seconds since the epoch, "processes": [...]}``, the main process first.
        self.latest: dict[str, Any] = {}
        self._interval = interval
        self._pids = pids
        self._running = running
        self._own: dict[int, int | None] = {}
        self._slow_at = 0.0

    def run(self) -> None:
        """Look, again and again, for as long as the process lives: memory that grows tells nobody."""
        while True:
            with troubles.watched("look at the worker's processes"):
                self.latest = self.look()
            time.sleep(self._interval)

    def look(self) -> dict[str, Any]:
        """Of each process: pid, since when (seconds since the epoch), ``rss`` and ``pss`` (bytes; ``pss`` is ``None`` where the
        system does not say), and the job that it runs: id, kind, seconds."""
        running, now = self._running(), time.monotonic()
        slow = now >= self._slow_at
        if slow:
            self._slow_at = now + SLOW
        processes = []
        for pid in [os.getpid(), *self._pids()]:
            if seen := self._process(pid, slow=slow or pid not in self._own):
                if job := running.get(pid):
                    seen |= {"job": job[0], "kind": job[1], "seconds": round(now - job[2], 1)}
                processes.append(seen)
        self._own = {process["pid"]: process["pss"] for process in processes}
        return {"at": round(time.time(), 1), "processes": processes}

    def _process(self, pid: int, *, slow: bool) -> dict[str, Any] | None:
        try:
            process = psutil.Process(pid)
            own = _pss(process) if slow else self._own[pid]
            rss = process.memory_info().rss
        except psutil.Error:
            return None  # it has ended
        if not rss:
            return None  # it has ended, and is not buried yet
        return {"pid": pid, "since": round(process.create_time(), 1), "rss": rss, "pss": own}


def _pss(process: psutil.Process) -> int | None:
    try:
        return getattr(process.memory_full_info(), "pss", None)
    except psutil.AccessDenied:
        return None
