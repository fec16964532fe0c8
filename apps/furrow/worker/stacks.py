"""Where a pool process is right now: its Python stacks, also while it hangs in C code or waits for a lock.

The standard library's faulthandler writes them from a signal handler in C. That needs no right to trace other processes, so it
works in containers, as any user. All pool processes share one nameless file, made before they are forked; the worker's main
process asks one at a time. The signal is SIGURG: who has no handler for it ignores it.
"""

import faulthandler
import fcntl
import linecache
import os
import re
import signal
import threading
import time
from typing import IO

from furrow.worker.channel import nameless_file

#: Seconds for the first line; and without a new one, after which it is all there.
PATIENCE, QUIET = 3.0, 0.15
#: Characters of an answer.
LONGEST = 100_000

_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')
_RUNNER = os.path.join("furrow", "worker", "child", "runner.py")

_file: IO[bytes]
_asking = threading.Lock()


def open_file() -> None:
    """In the main process, before the pool forks."""
    global _file
    _file = nameless_file()
    fcntl.fcntl(_file, fcntl.F_SETFL, fcntl.fcntl(_file, fcntl.F_GETFL) | os.O_APPEND)


def listen() -> None:
    """In a pool process: answer from now on."""
    faulthandler.register(signal.SIGURG, file=_file, all_threads=True)


def ask(pid: int) -> str:
    """The stacks of this pool process, told by itself. Waits; for a thread of its own.

    Raises:
        TimeoutError: it said nothing in time.
        ProcessLookupError: it is gone.
    """
    with _asking:
        os.ftruncate(_file.fileno(), 0)
        os.kill(pid, signal.SIGURG)
        return tell(_read())


def _read() -> str:
    """What it writes. Polled for: a signal handler in C tells nobody when it has written, nor when that was all."""
    size, deadline, changed = 0, time.monotonic() + PATIENCE, 0.0
    while not size or time.monotonic() < changed + QUIET:
        now = os.fstat(_file.fileno()).st_size
        if now != size:
            size, changed = now, time.monotonic()
        elif not size and time.monotonic() > deadline:
            raise TimeoutError(f"its process said nothing within {PATIENCE:g} s: it is stopped, or starved of CPU")
        time.sleep(0.01)
    return os.pread(_file.fileno(), LONGEST, 0).decode(errors="replace")


def tell(text: str) -> str:
    """faulthandler's text as tracebacks: most recent call last, with source lines, from the handler on; the thread that runs
    the job first."""
    threads = [_thread(part) for part in re.split(r"\n(?=Thread |Current thread )", text.strip())]
    return "\n\n".join(story for _, story in sorted(threads, key=lambda thread: not thread[0]))[:LONGEST]


def _thread(part: str) -> tuple[bool, str]:
    head, *lines = part.splitlines()
    frames = [match for line in reversed(lines) if (match := _FRAME.match(line))]
    engine = [position for position, frame in enumerate(frames) if frame["file"].endswith(_RUNNER)]
    told = ["The job's thread (most recent call last):" if engine else head.replace("first", "last").replace("Current t", "T")]
    for frame in frames[engine[-1] + 1 if engine else 0 :]:
        told.append(f'  File "{frame["file"]}", line {frame["line"]}, in {frame["name"]}')
        if source := linecache.getline(frame["file"], int(frame["line"])).strip():
            told.append(f"    {source}")
    if len(told) == 1:
        told.append("  the engine itself: the job has not begun, or has ended")
    return bool(engine), "\n".join(told)
