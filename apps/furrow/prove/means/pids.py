"""A bound on the processes that one process may start: a group of its own (cgroup ``pids``); without root, its own limit.

Root is bound by no limit of processes, but by a group's.
"""

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where version 1 of control groups has what counts processes.
ROOT = Path("/sys/fs/cgroup/pids")
#: Seconds that the kernel may take to forget those that have ended.
PATIENCE = 5.0


def lacking() -> str:
    """Why no process can be kept from starting others here; empty: one can."""
    if os.geteuid() == 0 and not (ROOT.is_dir() and os.access(ROOT, os.W_OK)):
        return f"root has no limit of processes, and there is no control group to write in {ROOT}"
    return ""


@contextmanager
def used_up(pid: int) -> Iterator[None]:
    """Meanwhile this process can start none, and no thread."""
    with _group(pid) if os.geteuid() == 0 else _limit(pid):
        yield


@contextmanager
def _limit(pid: int) -> Iterator[None]:
    before = resource.prlimit(pid, resource.RLIMIT_NPROC)
    resource.prlimit(pid, resource.RLIMIT_NPROC, (0, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NPROC, before)


@contextmanager
def _group(pid: int) -> Iterator[None]:
    home = ROOT / _of(pid).lstrip("/")
    group = home / f"prove-{pid}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text((group / "pids.current").read_text())
        yield
    finally:
        (group / "pids.max").write_text("max")
        _dissolve(group, home)


def _dissolve(group: Path, home: Path) -> None:
    end = time.monotonic() + PATIENCE
    while group.is_dir() and time.monotonic() < end:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (home / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)


def _of(pid: int) -> str:
    """The group that it is in."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if "pids" in names.split(","):
            return path
    return "/"
