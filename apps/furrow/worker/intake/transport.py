"""The worker's connection to RabbitMQ: what has arrived is read in one go, and job messages are picked out of it.

py-amqp reads each frame with three system calls, and each message is three frames, a dozen objects and a turn of the event
loop: a quarter of a worker's time. A job's message is two small frames (:func:`furrow.rabbitmq.broker.Publisher.publish`), so
this transport reads whatever the socket has and takes those apart on the spot. All else goes the ordinary way, frame by frame:
other methods, ordinary tasks, a message that was delivered before (RabbitMQ adds a header to it).
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu import Connection
from kombu.transport import pyamqp

from furrow.rabbitmq.patient import LARGEST, PatientConnection, nonsense
from furrow.rabbitmq.queues import EXCHANGE
from furrow.worker.pool.shutdown import shutdown_requested

#: Bytes in one read, and reads in one go before the event loop gets its turn.
CHUNK, CHUNKS = 64 * 1024, 4
#: Seconds of silence, while an answer of RabbitMQ is waited for, after which the connection counts as lost. The event loop
#: stands still meanwhile, and py-amqp alone would wait for ever.
ANSWER = 5.0
#: The same for a worker that has been told to end.
LAST_ANSWER = 2.0
#: Seconds after which one that waits for an answer looks whether it has been told to.
SLICE = 0.25

# AMQP 0-9-1, section 2.3.5: type (1: method, 2: header), channel, size of the payload; the payload; the octet 0xCE.
_FRAME = struct.Struct(">BHI")
_END = 0xCE
#: basic.deliver is 60, 60; then consumer tag, delivery tag, redelivered, exchange, routing key.
_DELIVER = b"\x00\x3c\x00\x3c"
_TAG = struct.Struct(">Q")
_FROM_EXCHANGE = bytes([0, len(EXCHANGE.name)]) + EXCHANGE.name.encode()  # not redelivered, from this exchange
#: Class 60, weight 0, no body; the properties delivery-mode, message-id and type, and no others; persistent; 36 characters.
_JOB = struct.pack(">HHQHBB", 60, 0, 0, 0x1000 | 0x0080 | 0x0020, 2, 36)

_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Takes a job's message: channel, delivery tag, job id, kind.
Accept = Callable[[Any, int, str, str], None]


class SignalSafeConnection(pyamqp.Connection):
    """Refuses to write a frame within a frame. Celery's handler of a cold shutdown cancels consumers: where it interrupts a
    write it would wait for ever, for py-amqp's lock of that write."""

    frame_writer: Any

    def connect(self, callback: Callable[[], None] | None = None) -> Any:
        """Connect."""
        connected, write = super().connect(callback), self.frame_writer
        writing: set[int] = set()

        def write_frame(*frame: Any) -> None:
            thread = threading.get_ident()
            if thread in writing:
                raise RecoverableConnectionError("a signal's handler has interrupted what is being sent to RabbitMQ")
            writing.add(thread)
            try:
                write(*frame)
            finally:
                writing.discard(thread)

        self.frame_writer = write_frame
        return connected


class JobConnection(SignalSafeConnection, PatientConnection):
    """Waits for answers with an end, and once: who asks for more over a connection that was silent is told at once."""

    def connect(self, callback: Callable[[], None] | None = None) -> Any:
        """Connect."""
        connected = super().connect(callback)
        self.transport.sock.settimeout(ANSWER)
        return connected

    def drain_events(self, timeout: float | None = None) -> Any:
        """Read a frame.

        Raises:
            TimeoutError: there was none in time; without a ``timeout`` of the caller's the connection is cut then.
        """
        silent_since = time.monotonic()
        while True:
            patience = ANSWER if timeout is None else timeout
            if shutdown_requested():
                patience = min(patience, LAST_ANSWER)
            left = silent_since + patience - time.monotonic()
            try:
                return super().drain_events(max(0.0, min(left, SLICE)))
            except TimeoutError:
                if left > SLICE and time.monotonic() < self.until:
                    continue
                if timeout is None:
                    with suppress(OSError):
                        self.transport.sock.shutdown(socket.SHUT_RDWR)
                raise


class TlsTransport(pyamqp.SSLTransport):
    """kombu's transport over TLS; messages go the ordinary way."""

    Connection = SignalSafeConnection


class JobTransport(pyamqp.Transport):
    """kombu's transport for RabbitMQ, with another way of reading; set on the connection that the worker consumes from."""

    Connection = JobConnection
    #: Without it all messages go the ordinary way.
    accept: Accept | None = None

    def on_readable(self, connection: Any, loop: Any) -> None:
        """The socket has something. Called by the event loop."""
        if not connection.connected:
            raise RecoverableConnectionError("Socket was disconnected")
        transport = connection.transport
        for _ in range(CHUNKS):
            try:
                with transport.having_timeout(0):
                    data = transport._quick_recv(CHUNK)
            except (TimeoutError, BlockingIOError, InterruptedError):
                return
            except OSError:
                transport.connected = False
                raise
            if not data:
                transport.connected = False
                raise OSError("Server unexpectedly closed connection")
            transport._read_buffer += data
            self._take(connection, transport)
        # More may wait, and an encrypted connection may hold it where the event loop does not see it.
        loop.call_soon(self.on_readable, connection, loop)

    def _take(self, connection: Any, transport: Any) -> None:
        """All frames that are complete; the rest waits for its end."""
        while True:
            buffer = transport._read_buffer
            done = self._take_jobs(connection, buffer) if self.accept is not None else 0
            transport._read_buffer = buffer = buffer[done:]
            if len(buffer) < _FRAME.size:
                return
            if (size := _FRAME.unpack_from(buffer)[2]) > LARGEST:
                raise OSError(nonsense(f"a frame of {size:,} bytes"))
            if len(buffer) < size + _FRAME.size + 1:
                return
            # May wait for an answer of RabbitMQ and so read frames itself: from the same buffer.
            connection.on_inbound_frame(transport.read_frame())

    def _take_jobs(self, connection: Any, buffer: bytes) -> int:
        """Job messages up to the first that is something else, or not complete; returns where that begins."""
        accept, unpack, start = self.accept, _FRAME.unpack_from, 0
        assert accept is not None
        try:
            while True:
                method, channel, size = unpack(buffer, start)
                end = start + 7 + size
                header, same_channel, size = unpack(buffer, end + 1)
                tag = start + 12 + buffer[start + 11]
                properties = end + 8
                after = properties + size
                if (
                    (method, header, same_channel) != (1, 2, channel)
                    or buffer[after] != _END
                    or buffer[start + 7 : start + 11] != _DELIVER
                    or not buffer.startswith(_FROM_EXCHANGE, tag + 8)
                    or not buffer.startswith(_JOB, properties)
                    or not _ID.match(buffer, id := properties + len(_JOB))
                ):
                    return start
                accept(
                    connection.channels[channel],
                    _TAG.unpack_from(buffer, tag)[0],
                    buffer[id : id + 36].decode("ascii"),
                    buffer[id + 37 : after].decode(),
                )
                connection.bytes_recv += 2  # frames, in truth: how py-amqp knows that RabbitMQ lives
                start = after + 1
        except (struct.error, IndexError, KeyError, UnicodeDecodeError):
            return start


def signal_safe(connection: Connection) -> Connection:
    """Let this connection, a worker's, be of ours. Before it is connected; one over another transport is left as it is."""
    given = connection.get_transport_cls()
    ours = {pyamqp.Transport: JobTransport, pyamqp.SSLTransport: TlsTransport}.get(given, given)
    connection.get_transport_cls = lambda: ours
    return connection
