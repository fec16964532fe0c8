"""Child processes of a pool process: what a handler starts with ``os.fork``, ``multiprocessing`` or ``subprocess``.

A child that comes back from its handler would go on as a second pool process: it ends there. It gets database connections of
its own. What a run started is killed with the pool process when that has to be killed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import AuthenticationString  # type: ignore[attr-defined]
from typing import Any

import psutil
from django.db import connections

_PR_SET_CHILD_SUBREAPER = 36
#: Connections of the parent: kept, since closing them here would close them there.
_of_the_parent: list[Any] = []
_pool_process = 0


def install() -> None:
    """In a new pool process: allow it children, and have those that lose their parent come to it."""
    global _pool_process
    _pool_process = os.getpid()
    # billiard's process calls itself a daemon, which may have none, and has a key that it lets nobody pass on.
    process = multiprocessing.current_process()
    process._config |= {"daemon": False, "authkey": AuthenticationString(process.authkey)}  # type: ignore[attr-defined]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.register_at_fork(after_in_child=_leave_connections)


def in_this_process(function: Callable[[], Any]) -> Any:
    """Call a handler. In a child that it forked this does not return: the child ends with 0, with 1 and the traceback on
    stderr, or as it says by ``SystemExit``."""
    here, status = _pool_process or os.getpid(), 0
    try:
        return function()
    except BaseException as error:
        if os.getpid() == here:
            raise
        status = _status(error)
        raise
    finally:
        if os.getpid() != here:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)


def kill(pid: int) -> None:
    """SIGKILL a pool process and all that descends from it. It is stopped first, so that it starts nothing meanwhile.

    Raises:
        ProcessLookupError: it is gone.
    """
    os.kill(pid, signal.SIGSTOP)
    killed: set[int] = set()
    with suppress(psutil.Error, OSError, MemoryError):  # without descriptors, say: it is stopped, and has to be killed
        process = psutil.Process(pid)
        while new := [child for child in process.children(recursive=True) if child.pid not in killed]:
            for child in new:
                killed.add(child.pid)
                with suppress(psutil.NoSuchProcess):
                    child.kill()
    os.kill(pid, signal.SIGKILL)


def _status(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        sys.stderr.write(f"{error.code}\n")
    else:
        with suppress(Exception):
            traceback.print_exception(error)
    return 1


def _leave_connections() -> None:
    for link in connections.all(initialized_only=True):
        _of_the_parent.append(link)
        del connections[link.alias]
