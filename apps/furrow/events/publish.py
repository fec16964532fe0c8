"""``publish``: an event of one's own, by one INSERT in the caller's transaction."""

import json
from collections.abc import Mapping
from typing import Any

import pydantic
from django.db import transaction

from furrow.context import current_job
from furrow.errors import EventError
from furrow.events.classes import EventData, versions
from furrow.locks.wakeup import wake
from furrow.models import Event
from furrow.models.database import alias
from furrow.sanitize import has_long_integer, keys_are_text, unstorable
from furrow.statements.moves import DEPTH_KEY
from furrow.topics import name_problem

#: The largest JSON of an event's data.
MOST_BYTES = 64 * 1024
#: So many subscribers in a row may lead to an event.
MOST_DEPTH = 8


def publish(name: str | EventData, data: Mapping[str, Any] | pydantic.BaseModel | None = None) -> int:
    """Publish an event: one INSERT in the current transaction of the jobs' database. Rolled back, there is none; committed, it
    reaches every subscriber, at least once.

    Args:
        name: words with dots between, such as ``order.paid``; the first is not ``job``. Or an event of a class that has name
            and version (``EventData``), alone: its older versions are published with it.
        data: what there is to say: a dict that JSON knows, or a pydantic model. At most 64 KiB of JSON; publish the id of
            what is larger.

    Returns:
        The event's id; of several versions that of the newest.

    Raises:
        EventError: names what is wrong, the reason and the remedy. Nothing was written.
    """
    if isinstance(data, EventData) or (isinstance(name, EventData) and data is not None):
        raise EventError({"data": "an event whose class has the name is passed alone: publish(OrderPaid(order=7))"})
    of_class = versions(name) if isinstance(name, EventData) else ()
    given = [_checked(one.event_type(), one) for one in of_class] or [_checked(name, data)]
    depth = chain()
    if depth > MOST_DEPTH:
        raise EventError(
            {
                "name": f"{given[0].name!r} is the end of {depth} events in a row, of which each was published by a subscriber "
                "of the one before: a subscriber hears of what it publishes; publish a name that none of them subscribes to"
            }
        )
    for event in given:
        event.depth = depth
    newest, *_older = Event.objects.bulk_create(given)
    transaction.on_commit(wake, using=alias(), robust=True)
    return int(newest.pk)


def _checked(name: Any, data: Mapping[str, Any] | pydantic.BaseModel | None) -> Event:
    if problem := name_problem(name):
        raise EventError({"name": problem})
    given = data.model_dump(mode="json") if isinstance(data, pydantic.BaseModel) else dict(data or {})
    if problem := data_problem(given):
        raise EventError({"data": problem})
    return Event(name=name, data=given)


def chain() -> int:
    """How many subscribers in a row have led to the running code; 0 outside of a subscriber."""
    depth = current_job.meta.get(DEPTH_KEY, 0)
    return depth if isinstance(depth, int) else 0


def data_problem(data: Mapping[str, Any]) -> str:
    """What is wrong with the data of an event, and the remedy; empty when nothing is."""
    if not keys_are_text(data):
        return "must be a dict with texts as keys, such as {'order': 7}"
    if problem := unstorable(data):
        return problem
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"is no JSON ({error}): pass text, numbers, lists and dicts, or a pydantic model"
    if has_long_integer(text):
        return "has an integer of more than 4,300 digits: pass it as text"
    if len(text) > MOST_BYTES:
        return f"has {len(text):,} bytes of JSON: at most {MOST_BYTES:,} may be; store more elsewhere, and publish its id"
    return ""
