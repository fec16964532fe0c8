"""Listeners: who gets an event, or the events of a kind's jobs."""

from collections.abc import Iterable
from dataclasses import dataclass

from furrow.conf import conf
from furrow.events.subscribers import all_subscribers
from furrow.models import Webhook
from furrow.statements.moves import WORDS
from furrow.topics import JOB, wanted
from furrow.webhooks.deliveries import deliver, patterns_of


@dataclass(frozen=True)
class Listener:
    """One of them: a kind with ``@subscribe``, a webhook, or else the programs outside: ``FURROW["EVENTS"]``."""

    patterns: tuple[str, ...]
    #: Of the names that were asked for those that it gets.
    hears: tuple[str, ...]
    #: The name of its kind; its queue.
    kind: str = ""
    queue: str = ""
    webhook: Webhook | None = None


def listeners(names: Iterable[str], depth: int = 0) -> list[Listener]:
    """Who gets events of these names, to which so many subscribers in a row led."""
    asked = list(names)

    def heard(patterns: Iterable[str], depth: int) -> tuple[str, ...]:
        return tuple(name for name in asked if wanted(patterns, name, depth))

    found = [
        *(Listener(one.patterns, heard(one.patterns, depth), one.kind.name, one.queue) for one in all_subscribers()),
        *(
            Listener(tuple(patterns), heard(patterns, depth), webhook=hook)
            for hook in Webhook.objects.filter(active=True)
            if (patterns := patterns_of(hook))
        ),
        Listener(tuple(conf().events), heard(conf().events, 0)),
    ]
    return [one for one in found if one.hears]


def of_jobs(kind: str) -> list[Listener]:
    """Who gets events of jobs of this kind; what each hears are the events' last words (``failed``)."""
    first = f"{JOB}.{kind}."
    leads = kind == deliver.name or any(one.kind.name == kind for one in all_subscribers())
    found = listeners((first + word for word in WORDS), depth=int(leads))
    return [
        Listener(one.patterns, tuple(name.removeprefix(first) for name in one.hears), one.kind, one.queue, one.webhook)
        for one in found
    ]
