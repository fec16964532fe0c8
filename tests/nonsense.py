"""Servers that are not what their address says: each takes connections and does to them what its name says."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType

from amqp.serialization import dumps

#: Does something to a connection, which is closed when it returns; raises OSError when the other side has closed it.
Behaviour = Callable[[socket.socket], object]


@contextmanager
def serving(behave: Behaviour) -> Iterator[int]:
    """A server; gives its port."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve(link: socket.socket) -> None:
        with link, suppress(OSError):
            behave(link)

    def accept() -> None:
        while not ended.is_set():
            with suppress(OSError):
                threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        acceptor.join()


def once(data: bytes, link: socket.socket) -> None:
    """Hears something, says this, and waits until the other side has had enough."""
    link.recv(1)
    link.sendall(data)
    while link.recv(65536):
        pass


def in_turn(data: bytes, link: socket.socket) -> None:
    """Says this whenever it hears something."""
    while link.recv(65536):
        link.sendall(data)


def drip(data: bytes, link: socket.socket) -> None:
    """Says this byte by byte, the last one again and again."""
    link.recv(1)
    never = threading.Event()
    for byte in data:
        link.sendall(bytes([byte]))
    while not never.wait(0.1):
        link.sendall(data[-1:])


def flood(data: bytes, link: socket.socket) -> None:
    """Says this for ever."""
    link.recv(1)
    while True:
        link.sendall(data)


def close(link: socket.socket) -> None:
    """Hears something, and closes."""
    link.recv(1)


HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h1>Bad Request</h1>\r\n"
GARBAGE = bytes(os.urandom(4096))

# --- RabbitMQ -----------------------------------------------------------------------------------------------------------------


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """AMQP 0-9-1, section 2.3.5."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel: int, kind: int, number: int, arguments: bytes = b"") -> bytes:
    """A frame with a method."""
    return frame(1, channel, struct.pack(">HH", kind, number) + arguments)


def _nested(levels: int) -> bytes:
    table = b""
    for _ in range(levels):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return struct.pack(">I", len(table)) + table


_MECHANISMS = dumps("SS", ("PLAIN", "en_US"))
_START = method(0, 10, 10, dumps("ooFSS", (0, 9, {}, "PLAIN", "en_US")))
#: connection.start, tune, open-ok; channel.open-ok; confirm.select-ok.
_OPEN = _START + method(0, 10, 30, dumps("BlB", (100, 131072, 0))) + method(0, 10, 41, dumps("s", ("",)))
_CHANNEL = _OPEN + method(1, 20, 11, dumps("S", ("",))) + method(1, 85, 11)

RABBITMQ: Mapping[str, Behaviour] = MappingProxyType(
    {
        "closes": close,
        "garbage": partial(once, GARBAGE),
        "http": partial(once, HTTP),
        "another protocol": partial(once, b"AMQP\x00\x01\x00\x00"),
        "closes in a frame": lambda link: (link.recv(8), link.sendall(_START[:30])),
        "silent": partial(once, b""),
        "silent after a frame": partial(once, _START),
        "a byte now and then": partial(drip, struct.pack(">BHI", 1, 0, 4000) + bytes(8)),
        "a frame now and then": partial(flood, frame(8, 0, b"")),
        "an endless frame": partial(flood, struct.pack(">BHI", 1, 0, 0xFFFFFFFF) + bytes(65536)),
        "a channel that is not open": partial(once, method(7, 10, 10)),
        "an unknown method": partial(once, method(0, 99, 99)),
        "a frame without a method": partial(once, frame(1, 0, b"\0")),
        "a body of nothing": partial(once, frame(3, 0, b"x")),
        "a table nested deep": partial(once, method(0, 10, 10, b"\0\x09" + _nested(1_500) + _MECHANISMS)),
        "text that is none": partial(once, method(0, 10, 10, b"\0\x09" + bytes(4) + b"\0\0\0\x02\xff\xfe" + _MECHANISMS)),
        "no way to log in": partial(once, method(0, 10, 10, dumps("ooFSS", (0, 9, {}, "NONE", "en_US")))),
        "silent once open": partial(once, _OPEN),
        "garbage on a channel": partial(once, _CHANNEL + frame(1, 1, b"\0\x32")),
        "frames on a channel": lambda link: (once_said(link, _CHANNEL), flood(frame(8, 0, b""), link)),
        "answers to nothing": lambda link: (once_said(link, _CHANNEL), flood(method(1, 60, 80, dumps("Lb", (1, 1))), link)),
    }
)


def once_said(link: socket.socket, data: bytes) -> None:
    """Hear something, say this."""
    link.recv(1)
    link.sendall(data)


# --- Redis and PostgreSQL -----------------------------------------------------------------------------------------------------

REDIS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "closes": close,
        "garbage": partial(once, GARBAGE),
        "http": partial(in_turn, HTTP),
        "silent": partial(once, b""),
        "a byte now and then": partial(drip, b"$500\r\nx"),
        "a line without an end": partial(flood, b"+" + b"a" * 65536),
        "an array nested deep": partial(in_turn, b"*1\r\n" * 100_000),
        "an endless array": partial(in_turn, b"*1000000000\r\n"),
        "a length below zero": partial(in_turn, b"$-5\r\n"),
        "a number that is none": partial(in_turn, b":x\r\n"),
        "a number of 5,000 digits": partial(in_turn, b":" + b"9" * 5_000 + b"\r\n"),
        "an error that is no text": partial(in_turn, b"-\xff\xfe\r\n"),
        "always OK": partial(in_turn, b"+OK\r\n"),
        "never anything": partial(in_turn, b"$-1\r\n"),
    }
)

POSTGRES: Mapping[str, Behaviour] = MappingProxyType(
    {
        "closes": close,
        "garbage": partial(once, GARBAGE),
        "http": partial(once, HTTP),
        "an error without an end": partial(once, b"E" + struct.pack(">I", 0x0FFFFFFF)),
        "silent": partial(once, b""),
    }
)
