"""The tests' side: asks the server for a process, and knows it by a pipe that says how it ended."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
#: What an interpreter or a library reads as it is loaded: a process with other values of these is started in the ordinary way.
LOADED_WITH = ("LD_", "PYTHON", "CELERY_", "KOMBU_", "OPENSSL_", "LANG", "LC_")
#: The first three the fork sets itself; the last is read as a worker starts.
SET_LATER = ("PYTHONUNBUFFERED", "PYTHONFAULTHANDLER", "PYTHONPATH", "CELERY_SKIP_CHECKS")


class Fork:
    """What ``subprocess.Popen`` is for a process that it started; no child of this process, so the server says how it ended."""

    def __init__(self, args: Sequence[str], pipe: int) -> None:
        self.args = list(args)
        self.returncode: int | None = None
        self._pipe = os.fdopen(pipe, "rb")
        self.pid = int(self._pipe.readline() or self._failed())

    def poll(self) -> int | None:
        """Its exit code, or ``None`` while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; minus the signal's number if one ended it.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self.returncode is None:
            if not select.select([self._pipe], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._pipe.readline() or self._failed())
            self._pipe.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _failed(self) -> int:
        raise RuntimeError(f"the server of forks has died: {' '.join(self.args)}")


def run(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float = 90
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, with what it wrote; a Python program as a fork where it can be one.

    Raises:
        subprocess.TimeoutExpired: it did not end in time, and was killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = fork(command, env=env, cwd=cwd, log=out, errors=err)
        if process is None:
            return subprocess.run(
                list(command), env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
            )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        wrote = []
        for file in (out, err):
            file.seek(0)
            wrote.append(file.read().decode())
        return subprocess.CompletedProcess(list(command), code, *wrote)


def fork(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, log: IO[bytes], errors: IO[bytes] | None = None
) -> Fork | None:
    """Start a Python program; ``None`` if it is none, or has to be loaded anew for its environment's sake.

    ``errors``: where standard error goes; to the log as well if there is no other file.
    """
    if command[0] != sys.executable or not (command[1] == "-m" or command[1].endswith(".py")) or not _as_loaded(env):
        return None
    mine, its = os.pipe()
    order = {"args": command[1:], "env": dict(env), "cwd": str(cwd or Path.cwd())}
    try:
        socket.send_fds(_server()[0], [json.dumps(order).encode()], [log.fileno(), (errors or log).fileno(), its])
    finally:
        os.close(its)
    return Fork(command, mine)


def _as_loaded(env: Mapping[str, str]) -> bool:
    names = {name for name in {*env, *os.environ} if name.startswith(LOADED_WITH) and name not in SET_LATER}
    return all(env.get(name) == os.environ.get(name) for name in names)


@cache
def _server() -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    """The server, started at the first need; it ends with this process."""
    from tests.services import MARK, RUN

    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with its, (RUN / "forks.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks.server", str(its.fileno())],
            cwd=ROOT,
            env={**os.environ, "FURROW_STACK": MARK},
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return mine, process
