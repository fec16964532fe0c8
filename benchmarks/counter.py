"""Counts jobs as they run, for all peers alike and at next to no cost: each process writes 8 bytes of a memory-mapped file."""

import asyncio
import mmap
import os
import struct
import time
from pathlib import Path

_COUNT = struct.Struct("=q")


class _Own:
    """This process's count."""

    pid = 0
    value = 0
    memory: mmap.mmap


def count(milliseconds: int = 0) -> None:
    """The body of every benchmark's job: sleep for so long, and count."""
    if milliseconds:
        time.sleep(milliseconds / 1e3)
    _add()


async def count_async(milliseconds: int = 0) -> None:
    """The same in an event loop."""
    if milliseconds:
        await asyncio.sleep(milliseconds / 1e3)
    _add()


def _add() -> None:
    if _Own.pid != os.getpid():
        _open()
    _Own.value += 1
    _COUNT.pack_into(_Own.memory, 0, _Own.value)


def _open() -> None:
    """Also after a fork, which inherits the parent's."""
    _Own.pid, _Own.value = os.getpid(), 0
    with (Path(os.environ["BENCH_COUNTS"]) / str(_Own.pid)).open("w+b") as file:
        file.write(bytes(_COUNT.size))
        file.flush()
        _Own.memory = mmap.mmap(file.fileno(), _COUNT.size)


class Counts:
    """The sum over all processes, as seen from outside of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: The total once all that was submitted has run; for whoever keeps the score.
        self.expected = 0
        self._maps: dict[str, mmap.mmap] = {}

    def total_expected(self, more: int) -> int:
        """The total once so many more have run."""
        return self.expected + more

    def total(self) -> int:
        """Jobs that have run since :meth:`clear`."""
        for name in os.listdir(self.folder):
            if name not in self._maps:
                with (self.folder / name).open("rb") as file:
                    if os.fstat(file.fileno()).st_size == _COUNT.size:
                        self._maps[name] = mmap.mmap(file.fileno(), _COUNT.size, access=mmap.ACCESS_READ)
        return sum(_COUNT.unpack_from(memory)[0] for memory in self._maps.values())

    def clear(self) -> None:
        """Start anew; no counting process may be alive."""
        self._maps.clear()
        self.expected = 0
        for path in self.folder.iterdir():
            path.unlink()
