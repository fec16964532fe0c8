"""Sightings: what a process saw of one message of a task."""

import datetime as dt
from typing import NamedTuple


class Published(NamedTuple):
    """A message was published."""

    key: str
    task: str
    at: dt.datetime
    due_at: dt.datetime | None
    uses: tuple[str, ...]


class Began(NamedTuple):
    """A run began."""

    key: str
    task: str
    at: dt.datetime
    worker: str


class Ended(NamedTuple):
    """A run ended, or a call was revoked before it began (``seconds`` is ``None``)."""

    key: str
    task: str
    at: dt.datetime
    outcome: str
    seconds: float | None
    error: str


Sighting = Published | Began | Ended
