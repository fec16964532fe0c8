"""The processes of a trial: started in sessions of their own, ended by number."""

import json
import os
import re
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.counter import Counts

#: Seconds between two looks at the counters: who counts tells nobody, for that would be measured too.
LOOK = 0.004
#: Seconds that a client may take for an order; none that works needs a tenth of it.
PATIENCE = 120


class ProgramFailed(Exception):
    """A process ended or did not answer in time; says where its log is."""


class Program:
    """A process with a log."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], folder: Path, *, piped: bool = False) -> None:
        self.name = name
        self.log = folder / "log" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        pipe = subprocess.PIPE if piped else None
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                command, env=env, stdin=pipe or subprocess.DEVNULL, stdout=pipe or log, stderr=log, start_new_session=True
            )

    def check(self) -> None:
        """Raises ProgramFailed if it has ended."""
        if self.popen.poll() is not None:
            raise ProgramFailed(f"{self.name} ended ({self.popen.returncode}); {self.log}:\n{self.log.read_text()[-2000:]}")

    def wait_for(self, pattern: str, seconds: float = 60) -> None:
        """Until its log has a line like this."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.log.read_text(errors="replace")):
            self.check()
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{self.name} did not say {pattern!r} within {seconds} s; {self.log}")
            time.sleep(0.02)

    def processes(self) -> list[psutil.Process]:
        """Itself and its descendants."""
        main = psutil.Process(self.popen.pid)
        return [main, *main.children(recursive=True)]

    def pss(self) -> list[float]:
        """MiB of memory of itself and of each descendant, with shared pages counted once in all."""
        found = []
        for process in self.processes():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                found.append(sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)) / 1024)
        return found

    def stop(self, seconds: float = 5) -> None:
        """SIGTERM (unless given no time); what has not ended in time is killed, with all it started."""
        if seconds and self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)  # its session: pool processes too
        except ProcessLookupError:
            pass
        self.popen.wait(10)


def until_ran(counts: Counts, goal: int, *programs: Program, silence: float) -> None:
    """Until so many jobs have run since the counts were cleared.

    Raises:
        ProgramFailed: nothing ran for ``silence`` seconds, or one of the programs ended.
    """
    seen, since = -1, time.monotonic()
    while (total := counts.total()) < goal:
        if total != seen:
            seen, since = total, time.monotonic()
        elif time.monotonic() - since > silence:
            logs = ", ".join(str(program.log) for program in programs)
            raise ProgramFailed(f"no job for {silence:g} s, at {total} of {goal}; {logs}")
        for program in programs:
            program.check()
        time.sleep(LOOK)


class ClientProgram(Program):
    """A peer's client (see :mod:`benchmarks.client`): idle unless it has an order."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], folder: Path) -> None:
        super().__init__(name, command, env, folder, piped=True)
        self._ready = False

    def send(self, do: str, **order: Any) -> None:
        """Begin something."""
        assert self.popen.stdin
        if not self._ready:
            self._read()
            self._ready = True
        self.popen.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        self.popen.stdin.flush()

    def answer(self) -> Any:
        """Wait for its end."""
        return self._read()["answer"]

    def call(self, do: str, **order: Any) -> Any:
        """Both."""
        self.send(do, **order)
        return self.answer()

    def _read(self) -> Any:
        assert self.popen.stdout
        if not select.select([self.popen.stdout], [], [], PATIENCE)[0]:
            raise ProgramFailed(f"{self.name} did not answer within {PATIENCE} s; {self.log}")
        line = self.popen.stdout.readline()
        if not line:
            self.popen.wait(10)
            self.check()
        return json.loads(line)
