"""How a worker's main process and its pool processes talk: packets over Unix sockets that every pool process inherits.

A packet is delivered whole to exactly one reader. So all idle processes can take assignments from one socket, the next free
one getting the next job; and what a process has sent survives its death. A large packet travels as the descriptor of a file
to the pool processes, since each of its pieces would go to another one; and in pieces to the main process, which needs no
descriptor for them.
"""

import errno
import marshal
import mmap
import os
import socket
import struct
import tempfile
import threading
import uuid
from typing import IO, Any

from furrow.worker.held_locks import HeldLocks

#: Packets up to this size (bytes) go through the socket as they are.
INLINE = 32 * 1024
_SOCKET_BUFFER = 1024 * 1024
#: ``socket.send_fds`` and ``recv_fds`` ignore their flags (Python 3.11), so the two calls are spelled out.
_DESCRIPTOR = struct.Struct("i")
#: What the system says when a channel takes no more for now; the second: too many descriptors on their way.
_FULL = (errno.EAGAIN, errno.ETOOMANYREFS, errno.ENOBUFS)
_ONE_DESCRIPTOR = socket.CMSG_SPACE(_DESCRIPTOR.size)
#: Plain numbers: arithmetic with flags that are enums takes a microsecond.
_DONTWAIT, _CUT = int(socket.MSG_DONTWAIT), int(socket.MSG_CTRUNC)
#: What a piece begins with: whether it is the first, one in between or the last (no packet of marshal's begins so); and the
#: thread that sends.
_PIECE = struct.Struct("=cQ")
_FIRST, _MIDDLE, _LAST = b"<", b"=", b">"

#: What a system without such sockets says (macOS has none).
_UNKNOWN = (errno.EPROTONOSUPPORT, errno.EPROTOTYPE, errno.EOPNOTSUPP, errno.ESOCKTNOSUPPORT)

Packet = tuple[Any, ...]


def is_possible() -> bool:
    """This system has the sockets that a worker needs."""
    try:
        for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
            end.close()
    except AttributeError:  # not even their name
        return False
    except OSError as error:
        return error.errno not in _UNKNOWN
    return True


class Channel:
    """One direction. A packet is a tuple of what :mod:`marshal` can write: numbers, strings, bytes, tuples, ``None``."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._in.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)

    def fileno(self) -> int:
        """The reading end, for an event loop."""
        return self._out.fileno()


class Assignments(Channel):
    """One writer, many readers. A packet is a tuple of entries, whose first fields are their ids."""

    def offer(self, packet: Packet) -> bool:
        """Send if there is room; ``False`` when there is none.

        Raises:
            OSError, MemoryError: it is large, and there is no descriptor or no memory for it.
        """
        try:
            self._offer(packet, marshal.dumps(packet))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            return False
        return True

    def receive(self) -> Packet | None:
        """The next packet, or ``None`` when there is none now.

        Raises:
            OSError, MemoryError: this process has no descriptor or no memory for it. The packet is gone.
        """
        try:
            content, ancillary, flags, _ = self._out.recvmsg(INLINE, _ONE_DESCRIPTOR, _DONTWAIT)
        except BlockingIOError:
            return None
        if ancillary:
            (descriptor,) = _DESCRIPTOR.unpack(ancillary[0][2])
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                content = file.read()
        elif flags & _CUT:
            raise OSError(errno.EMFILE, "no descriptor is left to take a job's arguments by")
        return _unpacked(content)

    def take_back(self) -> Packet | None:
        """By the writer: the next packet that no reader has taken, of a large one the ids alone; or ``None``."""
        try:
            return _unpacked(self._out.recv(INLINE, _DONTWAIT))  # without room for a descriptor, none is made
        except BlockingIOError:
            return None

    def _offer(self, packet: Packet, content: bytes) -> None:
        if len(content) <= INLINE:
            self._in.send(content, _DONTWAIT)
            return
        with nameless_file() as file:
            file.write(content)
            file.flush()
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(file.fileno()))]
            ids = marshal.dumps(tuple((entry[0],) for entry in packet))
            self._in.sendmsg([ids], passed, _DONTWAIT)


class Reports(Channel):
    """Many writers, one reader."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: dict[int, list[bytes]] = {}  # of packets that have not arrived whole, by the thread that sends them

    def send(self, packet: Packet) -> None:
        """Send, waiting while the channel is full. What is interrupted in the middle of a large packet was not sent."""
        content = marshal.dumps(packet)
        if len(content) <= INLINE:
            self._in.send(content)
            return
        thread, most = threading.get_native_id(), INLINE - _PIECE.size
        for start in range(0, len(content), most):
            place = _FIRST if start == 0 else _MIDDLE if start + most < len(content) else _LAST
            self._in.send(_PIECE.pack(place, thread) + content[start : start + most])

    def receive(self) -> Packet | None:
        """The next packet, or ``None`` when there is none now."""
        while True:
            try:
                content = self._out.recv(INLINE, _DONTWAIT)
            except BlockingIOError:
                return None
            if content[:1] not in (_FIRST, _MIDDLE, _LAST):
                return _unpacked(content)
            place, thread = _PIECE.unpack_from(content)
            pieces = [] if place == _FIRST else self._pieces.pop(thread, [])
            pieces.append(content[_PIECE.size :])
            if place == _LAST:
                return _unpacked(b"".join(pieces))
            self._pieces[thread] = pieces

    def forget(self, pid: int) -> None:
        """This process is dead, and what its main thread had not sent to the end with it."""
        self._pieces.pop(pid, None)


def _unpacked(content: bytes) -> Packet:
    packet: Packet = marshal.loads(content)  # noqa: S302 - written by this program's own processes
    return packet


def nameless_file() -> IO[bytes]:
    """A file without a name: in memory where the system can (it works with a full or read-only disk), else a temporary one."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("furrow-packet"), "w+b")
    return tempfile.TemporaryFile()


class StopRequests:
    """Which run each pool process shall stop: shared memory, one slot a process, written by the parent. A process compares the
    slot with the run it is busy with, so a request that comes too late stops nothing else, nor a later run of the same job."""

    SLOTS = 4096
    _RUN = struct.Struct("=16sq")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.SLOTS * self._RUN.size)

    def ask(self, process: int, job: uuid.UUID, attempt: int) -> None:
        """Ask the process with this index to stop this run."""
        self._RUN.pack_into(self._memory, process % self.SLOTS * self._RUN.size, job.bytes, attempt)

    def asked(self, process: int) -> tuple[bytes, int]:
        """The run that this process was last asked to stop: its job as ``UUID.bytes``, and the attempt."""
        id, attempt = self._RUN.unpack_from(self._memory, process % self.SLOTS * self._RUN.size)
        return bytes(id), int(attempt)


class Restarts:
    """That the pool processes which live now shall be replaced: a number in shared memory, and what it was when a process was
    forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self._seen = 0

    def ask(self) -> None:
        """By the parent: those that are forked from now on are not meant."""
        self._seen += 1
        self._memory[:] = self._seen.to_bytes(8, "little")

    def asked(self) -> bool:
        """In a pool process: it is meant."""
        return self._memory[:] != self._seen.to_bytes(8, "little")


#: Jobs, to whichever pool process is free; and what the pool processes say. Made before the pool forks.
assignments: Assignments
reports: Reports
stop_requests: StopRequests
held_locks: HeldLocks
restarts: Restarts


def open_channels() -> None:
    """Make what parent and pool processes share; the processes forked from now on have it."""
    global assignments, reports, stop_requests, held_locks, restarts
    assignments, reports = Assignments(), Reports()
    stop_requests, held_locks, restarts = StopRequests(), HeldLocks(), Restarts()
