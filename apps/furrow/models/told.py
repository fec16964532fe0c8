"""What a worker tells of itself, in JSON. Its readers, the pages and the dispatcher, take it as it is: so it is made to be what
they expect when it is loaded, whoever wrote it."""

import uuid
from collections.abc import Callable
from typing import Any

from django.db import models

#: Above all that is told: bytes, counts, seconds since the epoch up to the year 2255.
_MOST = 2**53
_LATEST = 9_000_000_000
#: Entries of one list.
_LONGEST = 10_000


class ToldField(models.JSONField):
    """``read`` makes the value of what stands there; what it cannot use it leaves out. For migrations a plain ``JSONField``."""

    def __init__(self, *args: Any, read: Callable[[Any], Any], **options: Any) -> None:
        self._read = read
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        """As Django's."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.JSONField", args, options

    def clone(self) -> "ToldField":
        """As Django's."""
        _, _, args, options = self.deconstruct()
        return type(self)(*args, read=self._read, **options)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """As Django's; nothing it cannot read raises."""
        try:
            value = super().from_db_value(value, expression, connection)
        except (ValueError, RecursionError):  # numbers of too many digits, nested too deep
            value = None
        return self._read(value)

    def __deepcopy__(self, memo: Any) -> "ToldField":
        copied: ToldField = super().__deepcopy__(memo)
        copied._read = self._read
        return copied


def names(value: Any) -> list[str]:
    """Of queues, of kinds."""
    return [name for name in value[:_LONGEST] if isinstance(name, str)] if isinstance(value, list) else []


def stats(value: Any) -> dict[str, Any]:
    """``at``, ``processes``, ``waiting``, ``locked``, ``lines`` (:mod:`furrow.worker.pool.process_stats`), where present."""
    if not isinstance(value, dict):
        return {}
    told: dict[str, Any] = {name: int(value[name]) for name in ("waiting", "locked") if _is_number(value.get(name))}
    if _is_number(value.get("at"), _LATEST):
        told["at"] = value["at"]
    if isinstance(lines := value.get("lines"), dict):
        told["lines"] = {name: int(count) for name, count in lines.items() if _is_number(count)}
    if isinstance(seen := value.get("processes"), list):
        told["processes"] = [process for one in seen[:_LONGEST] if (process := _process(one))]
    return told


def _process(one: Any) -> dict[str, Any] | None:
    if not (
        isinstance(one, dict)
        and all(map(_is_number, (one.get("pid"), one.get("rss"))))
        and _is_number(one.get("since"), _LATEST)
    ):
        return None
    process = {"pid": int(one["pid"]), "since": one["since"], "rss": int(one["rss"])}
    process["pss"] = int(one["pss"]) if _is_number(one.get("pss")) else None
    if _is_id(one.get("job")) and isinstance(one.get("kind"), str) and _is_number(one.get("seconds")):
        process |= {"job": one["job"], "kind": one["kind"], "seconds": one["seconds"]}
    return process


def _is_number(value: Any, most: int = _MOST) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < most


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False
