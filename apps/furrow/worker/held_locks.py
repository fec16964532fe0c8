"""The locks that a worker's pool processes hold: a table in memory that they share with the worker's main process.

A pool process writes what it takes and clears what it gives back, in rows of its own; the main process reads them, renews the
leases, and says until when each is good. What was written survives the writer, so that the locks of a process that died are
given back at once.
"""

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

#: Locks that one job may hold at a time.
MOST = 16
_ROW = 256
#: Pool processes of a worker, at most.
_PROCESSES = 4096
#: token, pid, slot, bytes of the label; then the label. The first 8 bytes are written last, and cleared first.
_FIELDS = struct.Struct("=qdiih")
_TOKEN, _UNTIL = struct.Struct("=q"), struct.Struct("=d")
#: ``until`` of a lock that is lost.
LOST = -1.0


class Row(NamedTuple):
    """A lock that a pool process holds."""

    place: int  #: offset in the table
    token: int
    until: float  #: monotonic seconds, the same clock in all processes of a machine; LOST
    pid: int
    slot: int
    label: str


class HeldLocks:
    """See the module. Rows are addressed by their place."""

    def __init__(self) -> None:
        self._users = mmap.mmap(-1, _PROCESSES)
        self._memory = mmap.mmap(-1, _PROCESSES * MOST * _ROW)

    # --- the pool process's side ------------------------------------------------------------------------------------------

    def add(self, process: int, pid: int, label: str, slot: int, token: int, until: float) -> int | None:
        """Write a lock that this process took; its place, or ``None`` when all of the process's rows are in use."""
        process %= _PROCESSES
        for place in range(process * MOST * _ROW, (process + 1) * MOST * _ROW, _ROW):
            if not self._token(place):
                text = label.encode()
                self._memory[place + _FIELDS.size : place + _FIELDS.size + len(text)] = text
                _FIELDS.pack_into(self._memory, place, 0, until, pid, slot, len(text))
                _TOKEN.pack_into(self._memory, place, token)
                self._users[process] = 1
                return place
        return None

    def clear(self, place: int) -> None:
        """It is not held any more."""
        _TOKEN.pack_into(self._memory, place, 0)

    def until(self, place: int) -> float:
        """Until when it is good; LOST."""
        return float(_UNTIL.unpack_from(self._memory, place + _TOKEN.size)[0])

    # --- the main process's side ------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        """All that is held."""
        process = self._users.find(b"\1", 0)
        while process >= 0:
            for place in range(process * MOST * _ROW, (process + 1) * MOST * _ROW, _ROW):
                if row := self._row(place):
                    yield row
            process = self._users.find(b"\1", process + 1)

    def extend(self, row: Row, until: float) -> None:
        """It is good until then; :data:`LOST` when it is lost."""
        if self._token(row.place) == row.token:
            _UNTIL.pack_into(self._memory, row.place + _TOKEN.size, until)

    def _row(self, place: int) -> Row | None:
        token, until, pid, slot, length = _FIELDS.unpack_from(self._memory, place)
        if not token:
            return None
        label = self._memory[place + _FIELDS.size : place + _FIELDS.size + length]
        return Row(place, token, until, pid, slot, label.decode()) if self._token(place) == token else None

    def _token(self, place: int) -> int:
        return int(_TOKEN.unpack_from(self._memory, place)[0])
