"""What other programs may put into a message of AMQP 0-9-1."""

import datetime as dt
import json
import struct
from typing import Any

import amqp
from hypothesis import strategies as some

from tests import kinds

#: Bytes that AMQP calls a short text: no broker looks whether it is UTF-8.
short = some.one_of(
    some.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")[:255]),
    some.binary(max_size=255),
    some.uuids().map(lambda id: str(id).encode()),
)
_KNOWN = (
    "id task root_id parent_id group retries timelimit expires argsrepr kwargsrepr origin shadow lang meth stamps"
    " stamped_headers ignore_result replaced_task_nesting x-death"
)
_keys = some.one_of(some.sampled_from(_KNOWN.split()), some.text(max_size=20))
_times = some.datetimes(min_value=dt.datetime(1970, 1, 2), max_value=dt.datetime(9000, 1, 1))
_leaves = some.one_of(
    some.none(), some.booleans(), some.integers(-(2**63), 2**63 - 1), some.floats(), some.text(max_size=40),
    some.binary(max_size=40), _times, some.decimals(-9999, 9999, places=2),
    some.just("2026-13-45T99:99:99"), some.just("9" * 5000), some.just("kinds.add"),
)  # fmt: skip
values = some.recursive(
    _leaves,
    lambda inner: some.one_of(some.lists(inner, max_size=4), some.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)
_json = some.recursive(
    some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=20)),
    lambda inner: some.one_of(some.lists(inner, max_size=3), some.dictionaries(some.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
_bodies = some.one_of(
    some.binary(max_size=200),
    _json.map(lambda value: json.dumps(value).encode()),
    some.tuples(some.lists(_json, max_size=2), some.dictionaries(some.text(max_size=5), _json, max_size=2), _json).map(
        lambda parts: json.dumps(parts).encode()
    ),
    some.integers(1, 4000).map(lambda depth: b"[" * depth + b"]" * depth),
)
_tasks = some.one_of(
    some.sampled_from([kinds.add.name, "tests.kinds.ordinary", "nobody.knows", "celery.ping", "celery.chord"]), values
)


@some.composite
def _headers(draw: Any) -> dict[str, Any]:
    headers: dict[str, Any] = draw(some.dictionaries(_keys, values, max_size=5))
    if draw(some.booleans()):
        headers |= {"task": draw(_tasks), "id": draw(some.one_of(some.uuids().map(str), values))}
    headers.pop("eta", None)  # Celery keeps a task of a later time, as it should
    return headers


@some.composite
def _messages(draw: Any) -> amqp.Message:
    properties: dict[str, Any] = {
        "content_type": draw(some.one_of(some.sampled_from([b"application/json", b"application/x-python-serialize"]), short)),
        "content_encoding": draw(some.one_of(some.sampled_from([b"utf-8", b"binary"]), short)),
        "application_headers": draw(_headers()),
        "message_id": draw(short),
        "type": draw(some.one_of(some.just(kinds.add.name.encode()), short)),
        "correlation_id": draw(short),
        "reply_to": draw(short),
        "app_id": draw(short),
        "priority": draw(some.integers(0, 255)),
        "delivery_mode": draw(some.integers(1, 2)),
        "timestamp": draw(some.integers(0, 2**64 - 1)),
    }
    kept = draw(some.sets(some.sampled_from(sorted(properties))))
    return amqp.Message(draw(_bodies), **{name: value for name, value in properties.items() if name in kept})


def _can_be_written(message: amqp.Message) -> bool:
    try:
        message._serialize_properties()
    except (UnicodeError, ValueError, TypeError, OverflowError, struct.error, amqp.AMQPError):
        return False
    return True


#: Messages with any properties and any body, as far as py-amqp can write them.
messages = _messages().filter(_can_be_written)
