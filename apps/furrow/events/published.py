"""Published events, in the order of their publication, which is the order in which they can be read on.

Ids will not do: transactions commit in another order. Nor would the clock alone. But marks are made one transaction after the
other, each with a time that is later than that of all before (``statements.mark_published``), so what is at a later place was
not to be seen when an earlier one was read, and nothing comes to a place that was passed.
"""

import datetime as dt
import re
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Now

from furrow.models import Event
from furrow.statements import Outgoing
from furrow.topics import TEST

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
#: What is marked with a later time from now is no mark of a dispatcher.
A_DAY = dt.timedelta(days=1)
_TEXT = re.compile(r"(-?[0-9a-f]{1,16})\.([0-9a-f]{1,15})\.([0-9a-f]{1,10})", re.ASCII)


class Place(NamedTuple):
    """Where an event stands: when it was marked, and its id, since a batch of them has the same time."""

    at: dt.datetime
    id: int


class Row(NamedTuple):
    """What is needed of an event to know whether it is wanted."""

    place: Place
    name: str
    job: uuid.UUID | None


#: Before all events.
BEGINNING = Place(EPOCH, 0)


def newest() -> Place:
    """Where the newest event stands."""
    found = _published().order_by("-published_at", "-pk").values_list("published_at", "pk").first()
    return Place(found[0] or EPOCH, found[1]) if found else BEGINNING


def after(place: Place, limit: int) -> list[Row]:
    """The first events behind this place. Those that are for one webhook alone are none."""
    at, id = place
    later = Q(published_at__gte=at) & (Q(published_at__gt=at) | Q(pk__gt=id)) if place > BEGINNING else Q()
    rows = _published().filter(later).order_by("published_at", "pk").values_list("published_at", "pk", "name", "job")
    found = (Row(Place(at or EPOCH, id), name, job) for at, id, name, job in rows[:limit])
    # SQLite compares texts: a time of whole seconds, as Django asks for it, is less than the same as it is stored.
    return [row for row in found if row.place > place]


def outgoing(ids: Iterable[int]) -> list[Outgoing]:
    """The events of these ids that are still there, whole, in this order."""
    wanted = list(ids)
    found = {event.id: event for event in whole(Event.objects.filter(pk__in=wanted))} if wanted else {}
    return [found[id] for id in wanted if id in found]


def whole(rows: QuerySet[Event]) -> list[Outgoing]:
    """These, as they are published."""
    columns = rows.annotate(text=Cast("data", TextField())).values_list(
        "pk", "name", "job", "number", "text", "depth", "created_at"
    )
    return [
        Outgoing(pk, name, str(job) if job else None, number, text, depth, at)
        for pk, name, job, number, text, depth, at in columns
    ]


def _published() -> QuerySet[Event]:
    return Event.objects.filter(published_at__lt=Now() + A_DAY).exclude(name=TEST, job__isnull=True)


# --- Cursors ----------------------------------------------------------------------------------------------------------


def written(place: Place, looked_at: dt.datetime) -> str:
    """A cursor: all up to this place was read, at this time or later. Opaque to whoever gets it."""
    return f"{(place.at - EPOCH) // MICROSECOND:x}.{place.id:x}.{max(0, int(looked_at.timestamp())):x}"


def read(cursor: str) -> tuple[Place, dt.datetime]:
    """The place and the time of a cursor.

    Raises:
        ValueError: it is none.
    """
    if found := _TEXT.fullmatch(cursor):
        at, id, looked_at = (int(part, 16) for part in found.groups())
        try:
            return Place(EPOCH + at * MICROSECOND, id), EPOCH + dt.timedelta(seconds=looked_at)
        except OverflowError:
            pass
    raise ValueError(f"{cursor[:60]!r} is no id of this stream: send the last one that you got from it, or none")
