"""How a worker's main process and its pool processes talk: packets over Unix sockets that every pool process inherits.

A packet is delivered whole to exactly one reader. So all idle processes can take assignments from one socket, the next free
one getting the next job; and what a process has sent survives its death.
"""

import errno
import marshal
import mmap
import os
import socket
import struct
import tempfile
import uuid
from typing import IO, Any

from apps.jobs.worker.held_locks import HeldLocks

#: Packets up to this size (bytes) go through the socket; a larger one goes through a nameless file whose descriptor is passed.
INLINE = 32 * 1024
_SOCKET_BUFFER = 1024 * 1024
#: ``socket.send_fds`` and ``recv_fds`` ignore their flags (Python 3.11), so the two calls are spelled out.
_DESCRIPTOR = struct.Struct("i")
#: What the system says when a channel takes no more for now; the second: too many descriptors on their way.
_FULL = (errno.EAGAIN, errno.ETOOMANYREFS, errno.ENOBUFS)
_ONE_DESCRIPTOR = socket.CMSG_SPACE(_DESCRIPTOR.size)

Packet = tuple[Any, ...]


class Channel:
    """One direction. A packet is a tuple of what :mod:`marshal` can write: numbers, strings, bytes, tuples, ``None``."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._in.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)

    def fileno(self) -> int:
        """The reading end, for an event loop."""
        return self._out.fileno()

    def send(self, packet: Packet) -> None:
        """Send, waiting while the channel is full."""
        self._send(marshal.dumps(packet), 0)

    def offer(self, packet: Packet) -> bool:
        """Send if there is room; ``False`` when there is none."""
        try:
            self._send(marshal.dumps(packet), socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            return False
        return True

    def receive(self) -> Packet | None:
        """The next packet, or ``None`` when there is none now."""
        try:
            content, ancillary, _, _ = self._out.recvmsg(INLINE, _ONE_DESCRIPTOR, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if ancillary:
            (descriptor,) = _DESCRIPTOR.unpack(ancillary[0][2])
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                content = file.read()
        packet: Packet = marshal.loads(content)  # noqa: S302 - written by this program's own processes
        return packet

    def _send(self, content: bytes, flags: int) -> None:
        if len(content) <= INLINE:
            self._in.send(content, flags)
            return
        with nameless_file() as file:
            file.write(content)
            file.flush()
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(file.fileno()))]
            self._in.sendmsg([b"file"], passed, flags)


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
assignments: Channel
reports: Channel
stop_requests: StopRequests
held_locks: HeldLocks
restarts: Restarts


def open_channels() -> None:
    """Make what parent and pool processes share; the processes forked from now on have it."""
    global assignments, reports, stop_requests, held_locks, restarts
    assignments, reports = Channel(), Channel()
    stop_requests, held_locks, restarts = StopRequests(), HeldLocks(), Restarts()
