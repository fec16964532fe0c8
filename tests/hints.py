"""Types for the arguments of handlers, good and bad ones."""

import dataclasses
import datetime as dt
import enum
from collections.abc import Callable
from typing import Any

import pydantic

NAIVE = dt.datetime(2026, 1, 2, 3, 4)
DAY = dt.date(2026, 1, 1)
AWARE = NAIVE.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))


class Colour(enum.Enum):
    """A choice."""

    RED = "red"


class Model(pydantic.BaseModel):
    """A pydantic model as a type hint."""

    at: dt.datetime
    tags: list[str] = []


@dataclasses.dataclass
class Point:
    """A dataclass as a type hint."""

    x: float
    at: dt.datetime | None = None


class Rude:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


def takes(hint: Any) -> Callable[..., Any]:
    """A handler with one argument ``a`` of this type."""

    def handler(a: Any) -> None: ...

    handler.__annotations__ = {"a": hint}
    return handler
