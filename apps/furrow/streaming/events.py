"""A reader of published events as server-sent events: what is new, in the order of publication.

The event's id is a cursor (:mod:`furrow.events.published`); whoever lost the connection sends the last one (``Last-Event-ID``)
and goes on after it. So that this also holds while nothing is told, the id comes alone at the beginning of each connection, and
when many events that nobody here wants have passed.
"""

import datetime as dt
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from furrow.conf import conf
from furrow.events import published
from furrow.rabbitmq.events import cloud_event
from furrow.statements import clock
from furrow.topics import JOB, matches
from furrow.web import event_stream

#: Events that are looked at, and that are told, at once.
SCAN, AT_ONCE = 2_000, 200
#: Names that are remembered as wanted, or not.
_NAMES = 2_000


@dataclass(frozen=True)
class Wanted:
    """Which events: whose names match a pattern, of these jobs, of jobs of these kinds. What is empty leaves out none."""

    patterns: Collection[str] = ()
    jobs: Collection[uuid.UUID] = ()
    kinds: Collection[str] = ()

    def has(self, name: str) -> bool:
        """Whether events of this name may be wanted."""
        kind = name.removeprefix(f"{JOB}.").rpartition(".")[0] if name.startswith(f"{JOB}.") else ""
        return (not self.kinds or kind in self.kinds) and (
            not self.patterns or any(matches(pattern, name) for pattern in self.patterns)
        )


class EventReader:
    """Reads on from an event; without one from now on."""

    ended = False

    def __init__(self, wanted: Wanted, after: str = "") -> None:
        """Raises:
        ValueError: ``after`` is no event's id.
        """
        self._after = published.read(after) if after else None
        self._jobs = frozenset(wanted.jobs)
        self._has = lru_cache(_NAMES)(wanted.has)
        self._place: published.Place | None = None  # up to where all was read
        self._since = published.EPOCH  # when reading began
        self._passed = SCAN  # how many were passed by since an id was told

    def read(self) -> str:
        """The events since the last call; empty when there are none.

        Raises:
            Error: of the database.
        """
        missed, place = ("", self._place) if self._place else self._begin()
        found, chosen = published.after(place, SCAN), dict[int, published.Place]()
        for row in found:
            place = row.place
            self._passed += 1
            if (not self._jobs or row.job in self._jobs) and self._has(row.name):
                chosen[row.place.id] = row.place
                if len(chosen) == AT_ONCE:
                    break
        text = missed + "".join(
            _event(published.written(chosen[event.id], self._since), cloud_event(event).decode())
            for event in published.outgoing(chosen)
        )
        self._place = place
        if self._passed >= SCAN or text:
            self._passed = 0
            text += f"id: {published.written(place, self._since)}\n\n"
        return text

    def _begin(self) -> tuple[str, published.Place]:
        """What was missed, and where to begin."""
        self._since, newest = clock.now(), published.newest()
        if self._after is None:
            return "", newest
        (place, looked_at), kept = self._after, self._since - dt.timedelta(seconds=conf().event_retention)
        missed = ""
        if looked_at < kept:
            missed = f"published events are kept for {conf().event_retention:,.0f} s (FURROW['EVENT_RETENTION'])"
        elif place > newest and place.at >= kept:
            missed = "Last-Event-ID is that of an event that is not in this database"
        return _missed(missed) if missed else "", min(place, newest)


def _event(id: str, data: str) -> str:
    """Line breaks between the data's values may be anybody's; within a text JSON has none."""
    return f"data: {data.translate(event_stream.NO_BREAKS)}\nid: {id}\n\n"


def _missed(reason: str) -> str:
    return f"event: missed\ndata: {json.dumps({'reason': f'Events may have been missed: {reason}.'})}\n\n"
