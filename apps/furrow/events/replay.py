"""Replay: give a subscriber events again that are kept, such as those from before it was there."""

import datetime as dt
from collections.abc import Collection, Iterator

from django.db.models import QuerySet

from furrow.errors import EventError, did_you_mean
from furrow.events.published import whole
from furrow.events.subscribers import Subscriber, all_subscribers
from furrow.models import Event
from furrow.rabbitmq.events import EventPublisher
from furrow.statements import Outgoing
from furrow.topics import TEST

#: Events in one round of reading, sending and confirming.
BATCH = 500


def replay(kind: str, since: dt.datetime) -> int:
    """Send a subscriber, and nobody else, the events that it wants, that happened since this (aware) time, are kept and were
    published, in their order. Those of which it has made a job in the last seven days make none.

    Args:
        kind: the name of its kind.

    Returns:
        How many were sent.

    Raises:
        EventError: no kind of this name subscribes, or the time has no zone.
        BrokerError: RabbitMQ is away, or its queue is full. Some may have been sent.
    """
    return _send(_subscriber(kind), kept_since(since))


def replay_chosen(kind: str, ids: Collection[int]) -> int:
    """As :func:`replay`, of the events with these ids.

    Raises:
        EventError: no kind of this name subscribes.
        BrokerError: RabbitMQ is away, or its queue is full. Some may have been sent.
    """
    return _send(_subscriber(kind), kept().filter(pk__in=ids))


def kept() -> QuerySet[Event]:
    """Events that may be sent again: what was not published yet comes anyway. Those that are for one webhook alone are none."""
    return Event.objects.filter(published_at__isnull=False).exclude(name=TEST, job__isnull=True)


def kept_since(since: dt.datetime) -> QuerySet[Event]:
    """Those that happened since this time.

    Raises:
        EventError: the time has no zone.
    """
    if since.utcoffset() is None:
        raise EventError({"since": f"{since.isoformat()} has no time zone: pass an aware datetime"})
    return kept().filter(created_at__gte=since)


def pages(rows: QuerySet[Event]) -> Iterator[list[Outgoing]]:
    """These events in the order of their ids, ``BATCH`` at a time."""
    reached = 0
    while page := whole(rows.order_by("pk").filter(pk__gt=reached)[:BATCH]):
        reached = page[-1].id
        yield page


def _subscriber(kind: str) -> Subscriber:
    known = {subscriber.kind.name: subscriber for subscriber in all_subscribers()}
    if kind not in known:
        hint = did_you_mean(kind, known) if known else "no kind does"
        raise EventError({"kind": f"no kind {kind!r} subscribes to events; {hint}"})
    return known[kind]


def _send(subscriber: Subscriber, rows: QuerySet[Event]) -> int:
    sent, publisher = 0, EventPublisher({subscriber.queue: subscriber.patterns})
    try:
        for page in pages(rows):
            if wanted := [event for event in page if subscriber.wants(event.name, event.depth)]:
                sent += len(publisher.send(wanted, only=subscriber.queue))
    finally:
        publisher.close()
    return sent
