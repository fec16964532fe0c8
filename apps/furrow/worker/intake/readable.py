"""What py-amqp cannot read of messages: read as far as can be. Properties are marked, so that the message can be kept; of a
routing key the bytes are escaped.

py-amqp raises over text that is no UTF-8 and over tables that are nested deeper than Python's stack. The worker would end, get
the message again, and end again.
"""

import uuid
from struct import error as StructError
from struct import unpack_from
from typing import Any

from amqp import abstract_channel, serialization
from amqp.basic_message import Message
from amqp.serialization import decode_properties_basic

from furrow.sanitize import clean

#: The property that says why the others are not all there.
UNREADABLE = "unreadable"
_BASIC = 60  # AMQP's class of messages
_FIXED = {"o": (">B", 1), "L": (">Q", 8)}
_LENGTH = {"s": (">B", 1), "F": (">I", 4)}


def install() -> None:
    """From now on every connection of this process reads so."""
    serialization.PROPERTY_CLASSES[_BASIC] = properties
    abstract_channel.loads = arguments


def job_of(properties: dict[str, Any]) -> tuple[str, str]:
    """The id and the kind of the job that a message names.

    Raises:
        ValueError: it names none.
    """
    if wrong := properties.get(UNREADABLE):
        raise ValueError(f"It cannot be read: {wrong}")
    try:
        id, kind = str(uuid.UUID(properties["message_id"])), properties["type"]
    except KeyError as error:
        raise ValueError(f"It names no job (no property {error}).") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"It names no job (message_id: {error}).") from None
    return id, clean(kind) if "\0" in kind else kind  # no statement takes it


def arguments(format: str, buffer: bytes, offset: int) -> tuple[list[Any], int]:
    """The arguments of a method frame, from ``offset`` on, and where they end."""
    try:
        found, end = serialization.loads(format, buffer, offset)
    except UnicodeDecodeError:
        found, end = serialization.loads(format, _Escaped(buffer), offset)
    return found, int(end)


class _Escaped(bytes):
    """Bytes that decode to something, whatever they are."""

    def __getitem__(self, key: Any) -> Any:
        piece = super().__getitem__(key)
        return _Escaped(piece) if isinstance(piece, bytes) else piece

    def decode(self, *args: Any) -> str:
        """As UTF-8, what is none escaped."""
        return super().decode("utf-8", "backslashreplace")


def properties(buffer: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """The properties in a header frame, from ``offset`` on, and where they end."""
    try:
        found, end = decode_properties_basic(buffer, offset)
    except Exception as error:  # whatever a stranger's bytes do in there
        return {**_piece_by_piece(buffer, offset), UNREADABLE: f"{type(error).__name__}: {str(error)[:200]}"}, len(buffer)
    return found, int(end)


def _piece_by_piece(buffer: bytes, offset: int) -> dict[str, Any]:
    """Short texts, numbers; a table as text, its bytes escaped."""
    found: dict[str, Any] = {}
    try:
        (flags,) = unpack_from(">H", buffer, offset)
        offset += 2
        for place, (name, sort) in enumerate(Message.PROPERTIES):
            if not flags & 0x8000 >> place:
                continue
            if sort in _FIXED:
                form, size = _FIXED[sort]
                (found[name],) = unpack_from(form, buffer, offset)
            else:
                form, width = _LENGTH[sort]
                (size,) = unpack_from(form, buffer, offset)
                offset += width
                text = bytes(buffer[offset : offset + size]).decode("utf-8", "backslashreplace")
                found["headers" if sort == "F" else name] = text
            offset += size
    except StructError:  # it ends too early
        return found
    return found
