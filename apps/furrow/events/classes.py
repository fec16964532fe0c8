"""Event classes: the data of an event as a pydantic class that also has the event's name and version.

A version is part of the name: of ``order.paid`` the second is published as ``order.paid.v2``. So RabbitMQ gives every
subscriber, also a program outside, the version that it knows, and nobody has to read one to learn that it is another. Whoever
publishes a version makes the older ones of it too (:meth:`EventData.older`), for as long as somebody wants them.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import pydantic

from furrow.errors import EventError
from furrow.topics import name_problem


class EventData(pydantic.BaseModel):
    """The data of an event whose name and version the class says::

        class OrderPaid(EventData, name="order.paid"):
            order: int


        class OrderPaid2(OrderPaid, version=2):
            currency: str

            def older(self) -> OrderPaid:
                return OrderPaid(order=self.order)


        publish(OrderPaid2(order=7, currency="EUR"))

    A class without ``name`` has that of its base, one with neither also the version. Version 1 is published under the name, a
    later one under ``<name>.v<version>``.

    Raises:
        EventError: at import, when the name or the version cannot be.
    """

    event_name: ClassVar[str] = ""
    event_version: ClassVar[int] = 1

    def __init_subclass__(cls, *, name: str | None = None, version: int | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if name is None and version is None:
            return
        cls.event_name = cls.event_name if name is None else name
        cls.event_version = 1 if version is None else version
        if isinstance(version, bool) or not isinstance(cls.event_version, int) or cls.event_version < 1:
            raise EventError({"version": f"{version!r:.40} of {cls.__name__} must be a whole number from 1 on"})
        if problem := name_problem(cls.event_type()):
            raise EventError({"name": f"{problem} (of the class {cls.__name__})"})

    @classmethod
    def event_type(cls) -> str:
        """What it is published under, and what a subscriber of this version subscribes to."""
        return cls.event_name if cls.event_version == 1 else f"{cls.event_name}.v{cls.event_version}"

    def older(self) -> "EventData | None":
        """The same event in an older version, which is published too; ``None``: there is none that somebody still wants."""
        return None


def versions(newest: EventData) -> Iterator[EventData]:
    """An event in each version in which it is published, the newest first.

    Raises:
        EventError: ``older()`` of one returned what is no older version of the same event.
    """
    found: EventData | None = newest
    while found is not None:
        yield found
        newer, found = found, found.older()
        is_older = isinstance(found, EventData) and found.event_version < newer.event_version
        if found is not None and not (is_older and found.event_name == newer.event_name):
            raise EventError(
                {
                    "older": f"{type(newer).__name__}.older() returned {type(found).__name__}, which is no older version of "
                    f"{newer.event_name!r}: return a class of this name with a version below {newer.event_version}, or None"
                }
            )
