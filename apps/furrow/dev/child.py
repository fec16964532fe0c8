"""One process of ``furrow dev``."""

import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

#: Seconds before a process that ended by itself is started again: the first time, and at most. One that lived for longer than
#: ``STEADY`` begins anew.
FIRST_PAUSE, LONGEST_PAUSE, STEADY = 1.0, 30.0, 10.0

#: Seconds in which what an ended process printed last is handed on.
LAST_WORDS = 1.0

Say = Callable[[str, str], None]


class Child:
    """Runs in a session of its own, so that a Ctrl-C in the terminal reaches only who started it. What it prints is handed to
    ``say(name, line)``, in a thread."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        say: Say,
        *,
        stop: signal.Signals = signal.SIGTERM,
        needs_templates: bool = False,
        may_end: bool = False,
    ) -> None:
        """``may_end``: with exit code 0 it has nothing to do until code changes, and is not started again before that."""
        self.name = name
        self.needs_templates, self._may_end = needs_templates, may_end
        self._command, self._environ, self._say, self._stop = list(command), dict(environ), say, stop
        self._process: subprocess.Popen[bytes] | None = None
        self._began, self._again_at, self._pause = 0.0, 0.0, FIRST_PAUSE

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it now, whatever happened before."""
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        name = f"output of {self.name}"
        self._output = threading.Thread(target=self._hand_on, args=(self._process,), name=name, daemon=True)
        self._output.start()

    def look(self) -> None:
        """If it ended by itself say so, and start it again after a pause that grows."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._again_at:
                self.start()
        elif (code := self._process.poll()) == 0 and self._may_end:
            self._say("dev", f"{self.name} has ended; it is started again when code changes.")
            self.kill()
            self._again_at = math.inf
        elif code is not None:
            if now - self._began > STEADY:
                self._pause = FIRST_PAUSE
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            self._say("dev", f"{self.name} {how}; it is started again in {self._pause:g} s, or when code changes.")
            self.kill()
            self._again_at, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE)

    def ask_to_end(self) -> None:
        """Send it its signal. That it ends is for :meth:`kill` to see to."""
        self._pause = FIRST_PAUSE
        if self._process is not None and self.alive:
            self._process.send_signal(self._stop)

    def kill(self) -> None:
        """End what is left of it: of its whole session, at once."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._output.join(LAST_WORDS)

    def _hand_on(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._say(self.name, line.decode(errors="replace").rstrip())
