"""A message becomes the arguments and options of a job."""

import base64
import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from furrow.bridge import Bridge
from furrow.conf import CELERY_QUEUE, conf
from furrow.kinds.kind import Kind
from furrow.models.job import LOWEST_PRIORITY
from furrow.rabbitmq.inbox import Arrived
from furrow.sanitize import clean
from furrow.worker.intake.readable import UNREADABLE


class CannotMap(Exception):
    """This message is no job; says why, for people."""


class Mapped(NamedTuple):
    """What a message says of its job."""

    arguments: dict[str, Any]
    #: ``priority`` and ``expires``, where the message has them.
    options: tuple[tuple[str, Any], ...]
    #: What it is known by; empty: nothing.
    key: str


class Wanted(NamedTuple):
    """Where an answer is waited for, and by which name: AMQP's reply-to and correlation-id."""

    reply_to: str
    correlation_id: str


def mapped(kind: Kind, arrived: Arrived) -> Mapped:
    """What its job is given.

    Raises:
        CannotMap: the body is not what it says, or not what the bridge wants.
    """
    bridge, properties = arrived.bridge, arrived.message.properties
    if wrong := properties.get(UNREADABLE):
        raise CannotMap(f"it cannot be read: {wrong}")
    arguments = _arguments(kind, arrived)
    if bridge.headers:
        arguments[bridge.headers] = _plain(arrived.message.headers or {})
    return Mapped(arguments, tuple(_options(properties)), _key(bridge, properties, arrived.body))


def wanted(arrived: Arrived) -> Wanted | None:
    """Who waits for an answer; ``None``: nobody.

    Raises:
        CannotMap: no answer can go there.
    """
    properties = arrived.message.properties
    found = Wanted(str(properties.get("reply_to") or ""), str(properties.get("correlation_id") or ""))
    if not found.reply_to:
        return None
    if any("\0" in text or clean(text) != text for text in found):
        raise CannotMap("reply_to or correlation_id has characters that cannot be kept")
    if found.reply_to in {CELERY_QUEUE, *conf().queues}:
        raise CannotMap(f"reply_to {found.reply_to!r} is a queue of jobs: an answer there would be taken for one")
    return found


def _plain(value: Any) -> Any:
    """What a table of AMQP has, as JSON: times in ISO 8601, bytes as text, what JSON has no form for as Python writes it."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _arguments(kind: Kind, arrived: Arrived) -> dict[str, Any]:
    bridge = arrived.bridge
    names = [name for name in kind.arguments.names if name != bridge.headers]
    name = bridge.argument or (names[0] if len(names) == 1 else "")
    if name:
        return {name: _value(arrived, bridge.body or _guess(kind, name, arrived))}
    if not names:
        return {}
    found = _value(arrived, "json")
    if not isinstance(found, dict):
        raise CannotMap(f"the body must be a JSON object with the arguments of {kind.name}: {', '.join(names)}")
    return found


def _guess(kind: Kind, name: str, arrived: Arrived) -> str:
    content_type = str(arrived.message.content_type or "").partition(";")[0].strip().lower()
    if content_type == "application/json" or content_type.endswith("+json"):
        return "json"
    schema = kind.arguments.schema.get("properties", {}).get(name, {})
    return "text" if schema.get("type", "string") == "string" else "json"


def _value(arrived: Arrived, form: str) -> Any:
    if form == "base64":
        return base64.b64encode(arrived.body).decode()
    encoding = str(arrived.message.content_encoding or "utf-8")
    try:
        text = arrived.body.decode("utf-8" if encoding == "binary" else encoding)
    except (LookupError, ValueError) as error:
        raise CannotMap(f"the body is no text in {encoding[:40]}: {error}"[:300]) from None
    if form == "text":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotMap(f"the body is no JSON: {error}"[:300]) from None


def _options(properties: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """AMQP counts priorities upwards; what is to expire says so in milliseconds."""
    options: list[tuple[str, Any]] = []
    priority = properties.get("priority")
    if isinstance(priority, int) and priority > 0:
        options.append(("priority", LOWEST_PRIORITY - min(priority, LOWEST_PRIORITY)))
    if properties.get("expiration"):
        try:
            options.append(("expires", int(properties["expiration"]) / 1000))
        except (ValueError, TypeError):
            raise CannotMap(f"expiration {str(properties['expiration'])[:40]!r} is no number of milliseconds") from None
    return options


def _key(bridge: Bridge, properties: Mapping[str, Any], body: bytes) -> str:
    known_by = str(properties.get("message_id") or "").encode(errors="surrogateescape") if bridge.known_by != "body" else body
    if not known_by and bridge.known_by == "id":
        raise CannotMap("it has no message-id, and the bridge knows messages by that (known_by)")
    return hashlib.sha256(known_by).hexdigest() if known_by else ""
