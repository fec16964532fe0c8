"""Events of what Furrow itself does, beside those of jobs: written in the transaction that does it, while somebody wants them.

Jobs are moved by statements of many processes, so triggers write their events; schedules, workflows, approvals and signals are
moved by the functions that call :func:`tell`.
"""

import datetime as dt
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from furrow.conf import conf
from furrow.events.publish import MOST_DEPTH, chain
from furrow.events.subscribers import all_subscribers
from furrow.locks.wakeup import wake
from furrow.models import Event, Webhook
from furrow.models.database import alias
from furrow.plural import counted
from furrow.topics import matches

logger = logging.getLogger(__name__)

#: Characters of a name that an event's name has.
LONGEST = 100
_NO_WORD = re.compile(r"[^A-Za-z0-9_-]+")


def tell(first: str, events: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Write those of these events that a subscriber, a webhook or ``FURROW["EVENTS"]`` wants, in the current transaction.

    Args:
        first: the first word of their names.
        events: the rest of the name, and the data; not looked at where nobody wants any.
    """
    patterns = _patterns(first)
    if not patterns:
        return
    named = ((f"{first}.{name}", data) for name, data in events)
    rows = [Event(name=name, data=_plain(data)) for name, data in named if any(matches(one, name) for one in patterns)]
    depth = chain()
    if not rows:
        return
    if depth > MOST_DEPTH:
        logger.warning(
            "%s is told no more: %s in a row led to it, each to the next.", rows[0].name, counted(depth, "subscriber")
        )
        return
    for row in rows:
        row.depth = depth
    Event.objects.bulk_create(rows, batch_size=500)
    transaction.on_commit(wake, using=alias(), robust=True)


def word(name: str) -> str:
    """A name as one word of an event's: ``order_7`` of ``order 7``."""
    return _NO_WORD.sub("_", name).strip("_")[:LONGEST] or "_"


def _patterns(first: str) -> list[str]:
    """Of the patterns that somebody wants those that a name with this first word may match."""
    hooks = Webhook.objects.filter(active=True).values_list("patterns", flat=True)
    wanted = [*conf().events, *(pattern for subscriber in all_subscribers() for pattern in subscriber.patterns)]
    wanted += [pattern for given in hooks for pattern in given if isinstance(pattern, str)]
    return [pattern for pattern in wanted if pattern.split(".")[0] in (first, "*", "#")]


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it: ids as texts, times in UTC."""
    return {name: _value(value) for name, value in data.items()}


def _value(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, uuid.UUID) else value
