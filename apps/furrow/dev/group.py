"""The processes of ``furrow dev`` together: kept running, started anew when code changes, ended in order."""

import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from furrow.dev.child import Child, Say
from furrow.dev.watch import Watch
from furrow.plural import counted

#: Seconds that processes get to end in order before they are killed; between two looks at them.
PATIENCE, LOOK = 10.0, 0.2


class Group:
    """``run`` returns when SIGINT, SIGTERM or SIGHUP came and nothing runs any more. A second signal kills what still runs."""

    def __init__(self, stages: Sequence[Sequence[Child]], say: Say, wake: threading.Event, watch: Watch | None) -> None:
        """``stages``: the processes in the order in which they end; those of one stage end at the same time."""
        self._stages, self._say, self._wake, self._watch = stages, say, wake, watch
        self._children = [child for stage in stages for child in stage]
        self._signals = 0

    def run(self) -> None:
        """See the class."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        if self._watch is not None:
            self._watch.start()
        try:
            for child in self._children:
                child.start()
            while not self._signals:
                self._wake.wait(LOOK)
                self._wake.clear()
                self._look()
        finally:
            for stage in self._stages:
                self._end(stage)

    def _look(self) -> None:
        changed = self._watch.take() if self._watch is not None else []
        if changed:
            code = any(path.suffix == ".py" for path in changed)
            again = [child for child in self._children if code or child.needs_templates]
            more = f" and {counted(len(changed) - 1, 'other file')}" if changed[1:] else ""
            self._say("dev", f"{changed[0]}{more} changed: starting again {', '.join(child.name for child in again)}.")
            self._end(again)
            for child in again:
                child.start()
        for child in self._children:
            child.look()

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            child.ask_to_end()
        deadline = time.monotonic() + PATIENCE
        while self._signals < 2 and time.monotonic() < deadline and any(child.alive for child in children):
            time.sleep(LOOK / 4)
        for child in children:
            if child.alive and self._signals < 2:
                self._say("dev", f"{child.name} did not end within {PATIENCE:g} s: it is killed.")
            child.kill()

    def _on_signal(self, number: int, frame: Any) -> None:
        # Nothing more: the main thread may hold the lock of the event, and would wait for itself.
        self._signals += 1
