"""Connections to RabbitMQ with a time limit, whatever the server sends: garbage, single bytes, endless frames.

py-amqp bounds each read from the socket, not the answer that it is part of; what it cannot decode leaves it as any exception.
"""

import math
import time
from typing import Any

import amqp
from amqp.exceptions import UnexpectedFrame
from kombu import Connection
from kombu.transport import pyamqp

from furrow.rabbitmq.queues import broker_setting

#: Seconds without an answer after which a connection is given up: less than half of a lease, so that the dispatcher leads and
#: rescues also while RabbitMQ hangs.
TIMEOUT = 5.0
#: The largest frame that is received (bytes). RabbitMQ's own limit, frame_max, is 128 KiB unless somebody raises it.
LARGEST = 16 * 1024 * 1024


class PatientConnection(pyamqp.Connection):  # type: ignore[misc]
    """Connects within :data:`TIMEOUT`, and tells what is no RabbitMQ."""

    #: By when (monotonic seconds) the answer must be whole that is waited for now.
    until = math.inf

    def connect(self, callback: Any = None) -> Any:
        """Connect.

        Raises:
            OSError: nothing is there, it does not answer in time, or it is no RabbitMQ.
            amqp.AMQPError: RabbitMQ refuses.
        """
        self.until = time.monotonic() + TIMEOUT
        try:
            return super().connect(callback)
        except Exception as error:
            if isinstance(error, amqp.AMQPError | OSError) and not isinstance(error, UnexpectedFrame):
                raise
            self.collect()
            raise OSError(nonsense(error)) from error
        finally:
            self.until = math.inf

    def Transport(self, *args: Any, **kwargs: Any) -> Any:
        """py-amqp's, which reads no longer than until :attr:`until`, and no frame that is too large."""
        transport = super().Transport(*args, **kwargs)
        set_up = transport._setup_transport

        def set_up_bounded() -> None:
            set_up()
            receive = transport._quick_recv

            def receive_in_time(size: int) -> bytes:
                if size > LARGEST:
                    raise OSError(nonsense(f"a frame of {size:,} bytes"))
                if time.monotonic() > self.until:
                    raise TimeoutError("no answer in time")
                found: bytes = receive(size)
                return found

            transport._quick_recv = receive_in_time

        transport._setup_transport = set_up_bounded
        return transport


class _Channel(pyamqp.Channel):  # type: ignore[misc]
    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """For an answer, which comes within :data:`TIMEOUT`, whatever else comes meanwhile."""
        connection, until = self.connection, self.connection.until
        connection.until = min(until, time.monotonic() + TIMEOUT)
        try:
            return super().wait(*args, **kwargs)
        finally:
            connection.until = until


class _Answering(PatientConnection):
    Channel = _Channel


def patient(connection: Connection) -> Connection:
    """Let this connection bound every answer. Before it is connected."""
    transport = connection.get_transport_cls()
    connection.get_transport_cls = lambda: type(transport.__name__, (transport,), {"Connection": _Answering})
    return connection


def nonsense(what: object) -> str:
    """Why what answers there cannot be RabbitMQ; ``what``: the error, or what came."""
    said = f"{type(what).__name__}: {what}" if isinstance(what, Exception) else str(what)
    return f"the server does not speak AMQP ({said[:200]}): check {broker_setting()}"
