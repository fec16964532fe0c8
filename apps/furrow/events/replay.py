"""Replay: give a subscriber events again that are kept, such as those from before it was there."""

import datetime as dt
from collections.abc import Iterator

from django.db.models import TextField
from django.db.models.functions import Cast

from furrow.errors import EventError, did_you_mean
from furrow.events.subscribers import Subscriber, all_subscribers
from furrow.models import Event
from furrow.rabbitmq.events import EventPublisher
from furrow.statements import Outgoing

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
    known = {subscriber.kind.name: subscriber for subscriber in all_subscribers()}
    if kind not in known:
        hint = did_you_mean(kind, known) if known else "no kind does"
        raise EventError({"kind": f"no kind {kind!r} subscribes to events; {hint}"})
    if since.utcoffset() is None:
        raise EventError({"since": f"{since.isoformat()} has no time zone: pass an aware datetime"})
    subscriber, sent = known[kind], 0
    publisher = EventPublisher({subscriber.queue: subscriber.patterns})
    try:
        for events in _kept(subscriber, since):
            sent += len(publisher.send(events, only=subscriber.queue))
    finally:
        publisher.close()
    return sent


def _kept(subscriber: Subscriber, since: dt.datetime) -> Iterator[list[Outgoing]]:
    rows = Event.objects.filter(created_at__gte=since, published_at__isnull=False).order_by("pk")
    columns = rows.annotate(text=Cast("data", TextField())).values_list(
        "pk", "name", "job", "number", "text", "depth", "created_at"
    )
    reached = 0
    while page := list(columns.filter(pk__gt=reached)[:BATCH]):
        reached = page[-1][0]
        wanted = [
            Outgoing(pk, name, str(job) if job else None, number, text, depth, at)
            for pk, name, job, number, text, depth, at in page
            if subscriber.wants(name, depth)
        ]
        if wanted:
            yield wanted
