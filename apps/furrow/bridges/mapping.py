"""A message becomes the arguments and options of a job."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from furrow.bridge import Bridge
from furrow.kinds.kind import Kind
from furrow.models.job import LOWEST_PRIORITY
from furrow.rabbitmq.inbox import Arrived


class CannotMap(Exception):
    """This message is no job; says why, for people."""


class Mapped(NamedTuple):
    """What a message says of its job."""

    arguments: dict[str, Any]
    #: ``priority`` and ``expires``, where the message has them.
    options: tuple[tuple[str, Any], ...]
    #: What it is known by; empty: nothing.
    key: str


def mapped(kind: Kind, arrived: Arrived) -> Mapped:
    """What its job is given.

    Raises:
        CannotMap: the body is not what it says, or not what the bridge wants.
    """
    bridge, properties = arrived.bridge, arrived.message.properties
    arguments = _arguments(kind, arrived)
    if bridge.headers:
        arguments[bridge.headers] = json.loads(json.dumps(arrived.message.headers or {}, default=str))
    return Mapped(arguments, tuple(_options(properties)), _key(bridge, properties, arrived.body))


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
