"""Daemons that outlive the command that started them, and are found again by number and time of birth.

A process number alone may be reused, so a pid file also keeps when the process began, in clock ticks since the boot
it names: no change of the clock, reboot or reuse of the number makes a stranger look like ours. Every daemon and
whatever it starts carries `FURROW_STACK=<mark>` in its environment, so that strays are found by that exact mark.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from deploy import files

MARK = "FURROW_STACK"

# The shell detaches the daemon (as a grandchild, so nobody here has to reap it) and says its number.
_LAUNCH = 'umask 077; "$@" 2>&1 & echo $! >&2'
_LOG_LIMIT = 4 * 1024 * 1024


def born(pid: int) -> str:
    """When `pid` began, in a form that tells it from any other process; empty if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return ""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{fields[19]}"


def until(condition: Callable[[], object], timeout: float, interval: float = 0.05) -> bool:
    """Poll `condition` until it holds; False if it did not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


class Daemon:
    """One process in a session of its own, known by its pid file."""

    def __init__(self, pidfile: Path) -> None:
        self.pidfile = pidfile

    @property
    def pid(self) -> int | None:
        """Its number while it lives, else None."""
        saved = files.read_json(self.pidfile)
        pid = saved.get("pid")
        return pid if isinstance(pid, int) and saved.get("born") == born(pid) != "" else None

    @property
    def alive(self) -> bool:
        """Whether it lives (a frozen process does)."""
        return self.pid is not None

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        user: int | None = None,
        group: int | None = None,
        folder: Path = Path("/"),
    ) -> None:
        """Start `command` detached, its output appended to `log`. That it starts is all this promises."""
        rotate(log)
        with log.open("ab") as output:
            launched = subprocess.run(
                ["/bin/sh", "-c", _LAUNCH, "sh", *command],
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                check=True,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        pid = int(launched.stderr)
        files.write_json(self.pidfile, {"pid": pid, "born": born(pid)})

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and all it started, itself first, so that a stopped parent starts no more."""
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 30) -> None:
        """Ask it to end, wait, and kill what has not ended in time. A frozen process is thawed first."""
        pid = self.pid
        if pid is not None:
            self.send(signal.SIGCONT)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            until(lambda: not self.alive, timeout)
        self.kill()

    def kill(self) -> None:
        """SIGKILL it and all it started, and wait until they are gone."""
        tree = self._tree()
        end(tree)
        self.pidfile.unlink(missing_ok=True)

    def _tree(self) -> list[psutil.Process]:
        pid = self.pid
        if pid is None:
            return []
        try:
            process = psutil.Process(pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def end(doomed: Sequence[psutil.Process]) -> None:
    """SIGKILL these processes and wait until none is left."""
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(process.is_running() and born(process.pid) for process in doomed), timeout=10)


def marked(mark: str) -> Iterator[psutil.Process]:
    """The processes that carry exactly this mark in their environment. Others' processes are passed over."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process


def listens(port: int, mark: str) -> bool:
    """Whether a process that carries this mark listens on `port`. Others' processes cannot be seen, and count as strangers."""
    found = (link for link in psutil.net_connections("tcp") if link.status == psutil.CONN_LISTEN and link.laddr[1:] == (port,))
    pids = {link.pid for link in found}
    return any(process.pid in pids for process in marked(mark))


def sweep(mark: str) -> int:
    """End the processes that carry this mark; returns how many there were."""
    strays = list(marked(mark))
    end(strays)
    return len(strays)


def rotate(log: Path) -> None:
    """Move a log that has grown aside, to `<name>.1`, before something appends to it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name(f"{log.name}.1"))
