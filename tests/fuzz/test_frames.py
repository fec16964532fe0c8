"""Bytes from RabbitMQ: the short way of reading finds the same jobs as the long one, and what cannot be read is told."""

import struct
import uuid
from types import SimpleNamespace
from typing import Any

import amqp
from furrow.rabbitmq.queues import EXCHANGE
from furrow.worker.intake.readable import UNREADABLE, properties
from furrow.worker.intake.transport import JobTransport
from furrow.worker.ledger.dead import describe
from hypothesis import given
from hypothesis import strategies as some

from tests.fuzz import examples
from tests.fuzz.amqp_values import messages, short


@examples(400)
@given(messages, some.lists(some.tuples(some.integers(0, 10_000), some.integers(0, 255)), max_size=6), some.binary(max_size=30))
def test_properties(message: amqp.Message, changes: list[tuple[int, int]], rest: bytes) -> None:
    buffer = bytearray(message._serialize_properties() + rest)
    for place, octet in changes:
        buffer[place % len(buffer)] = octet
    found, end = properties(bytes(buffer), 0)
    assert end >= 0
    kept = SimpleNamespace(
        properties={name: value for name, value in found.items() if name != "application_headers"},
        headers=found.get("application_headers", {}),
        content_type=found.get("content_type"),
        content_encoding=found.get("content_encoding"),
        delivery_info={"exchange": found.get("type", ""), "routing_key": found.get("message_id", "")},
        body=bytes(buffer),
    )
    dead = describe(kept, f"It cannot be read: {found.get(UNREADABLE)}", "node")
    for text in (dead.reason, dead.exchange, dead.routing_key, dead.properties):
        assert "\x00" not in text
        text.encode()


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


@some.composite
def _deliveries(draw: Any) -> tuple[bytes, tuple[Any, ...] | None]:
    """Two frames, and the job that the short way shall find in them; ``None``: it shall leave them to the long one."""
    channel, tag = draw(some.integers(1, 2)), draw(some.integers(0, 2**64 - 1))
    redelivered = draw(some.sampled_from([0, 0, 0, 1]))
    exchange = draw(some.sampled_from([EXCHANGE.name.encode()] * 4 + [b"", b"furrowing", b"celery"]))
    kind = draw(short)
    id = draw(some.one_of(some.uuids().map(lambda one: str(one).encode()), some.binary(min_size=36, max_size=36)))
    method = b"\x00\x3c\x00\x3c" + _text(draw(short)) + struct.pack(">Q", tag) + bytes([redelivered])
    method += _text(exchange) + _text(draw(short))
    header = struct.pack(">HHQH", 60, 0, 0, 0x1000 | 0x0080 | 0x0020) + b"\x02" + _text(id) + _text(kind)
    try:
        kind_text = kind.decode()
        plain = str(uuid.UUID(id.decode())) == id.decode()
    except (ValueError, UnicodeError):
        plain, kind_text = False, ""
    mine = plain and not redelivered and exchange == EXCHANGE.name.encode()
    return _frame(1, channel, method) + _frame(2, channel, header), (channel, tag, id.decode(), kind_text) if mine else None


def _taken(buffer: bytes) -> tuple[list[tuple[Any, ...]], int]:
    """What the short way takes, and where it stops."""
    found: list[tuple[Any, ...]] = []
    transport = JobTransport.__new__(JobTransport)
    transport.accept = lambda *job: found.append(job)
    connection = SimpleNamespace(channels={1: 1, 2: 2}, bytes_recv=0)
    return found, transport._take_jobs(connection, buffer)


@examples(400)
@given(some.lists(_deliveries(), max_size=5), some.integers(0, 200))
def test_jobs_in_frames(deliveries: list[tuple[bytes, tuple[Any, ...] | None]], missing: int) -> None:
    stream = b"".join(frames for frames, _ in deliveries)
    whole = stream[: max(0, len(stream) - missing)]
    expected, end = [], 0
    for frames, job in deliveries:
        if job is None or end + len(frames) > len(whole):
            break
        expected.append(job)
        end += len(frames)
    assert _taken(whole) == (expected, end)


@examples(400)
@given(
    some.lists(_deliveries(), min_size=1, max_size=3),
    some.lists(some.tuples(some.integers(0), some.integers(0, 255)), max_size=5),
)
def test_frames_that_are_damaged(deliveries: list[tuple[bytes, Any]], changes: list[tuple[int, int]]) -> None:
    stream = bytearray(b"".join(frames for frames, _ in deliveries))
    for place, octet in changes:
        stream[place % len(stream)] = octet
    found, end = _taken(bytes(stream))
    assert 0 <= end <= len(stream)
    assert all(str(uuid.UUID(id)) == id for _, _, id, _ in found)
