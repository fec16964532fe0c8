"""One process of the campaign, with all it started; kept running, as a supervisor would."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
from deploy import ROOT
from deploy.processes import until


class ProgramFailed(Exception):
    """A process of the private stack did not come up; says why."""


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Exit(NamedTuple):
    """A main process that ended."""

    program: str
    pid: int
    code: int
    at: float  #: seconds since the epoch
    asked: bool  #: the campaign ended it


class Program:
    """A command that runs in a session of its own."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = command
        self.env = dict(env)
        self.log = log
        self.exits: list[Exit] = []
        self._popen: subprocess.Popen[bytes] | None = None
        self._orphaned = 0  # a main process that ended: the group of what it left behind
        self._asked = False
        self._wanted = False
        self._lock = threading.RLock()

    @property
    def pid(self) -> int:
        """Its main process, also one that has ended; 0 before the first start."""
        return self._popen.pid if self._popen else 0

    @property
    def alive(self) -> bool:
        """Whether its main process runs (a frozen one does)."""
        return self._popen is not None and self._popen.poll() is None

    def children(self, *, of_all: bool = True) -> list[int]:
        """The processes it started that live, and those that they started; or only its own: a worker's pool processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(self.pid).children(recursive=of_all)]
        return []

    def pids(self) -> set[int]:
        """Its main process and all it started."""
        return {self.pid, *self.children()}

    def start(self) -> None:
        """Start it, and from now on whenever it has ended."""
        with self._lock:
            self._wanted = True
            self.tend()

    def tend(self) -> None:
        """Start it again if it ended and is wanted."""
        with self._lock:
            self._note_exit()
            if self._wanted and not self.alive:
                self._end_orphans()
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with self.log.open("ab") as log:
                    self._popen = subprocess.Popen(
                        self.command,
                        env=self.env,
                        cwd=ROOT,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                self._asked = False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its main process alone."""
        with self._lock:
            self._asked = self._asked or number in (signal.SIGTERM, signal.SIGKILL)
            if self.alive:
                send(self.pid, number)

    def send_all(self, number: signal.Signals) -> None:
        """Send a signal to its main process and to all it started."""
        with self._lock:
            self._asked = self._asked or number in (signal.SIGTERM, signal.SIGKILL)
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, number)

    def hold(self) -> None:
        """Do not start it again until :meth:`start`."""
        with self._lock:
            self._wanted = False

    def stop(self, seconds: float) -> bool:
        """SIGTERM, and SIGKILL when it has not ended in time; whether it had."""
        self.hold()
        self.send_all(signal.SIGCONT)
        self.send(signal.SIGTERM)
        in_time = self.wait(seconds)
        self.send_all(signal.SIGKILL)
        self.wait(10)
        with self._lock:
            self._note_exit()
            self._end_orphans()
        return in_time

    def wait(self, seconds: float) -> bool:
        """Wait for its end; ``False`` when it had not ended in time."""
        return until(lambda: not self.alive, seconds, 0.02)

    def wait_for(self, word: str, seconds: float) -> None:
        """Wait until its log has this word. Raises ProgramFailed when it has ended, or has not said it in time."""
        if not until(lambda: word in self.tail(50) or self.exits, seconds) or self.exits:
            raise ProgramFailed(f"{self.name} did not come up. The last lines of {self.log}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def _note_exit(self) -> None:
        if self._popen is not None and self._popen.poll() is not None:
            self.exits.append(Exit(self.name, self.pid, self._popen.returncode, time.time(), self._asked))
            self._orphaned, self._popen = self._popen.pid, None

    def _end_orphans(self) -> None:
        """What a main process that died alone has left behind, as a supervisor does before it starts the next."""
        if self._orphaned:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._orphaned, signal.SIGKILL)
            self._orphaned = 0
