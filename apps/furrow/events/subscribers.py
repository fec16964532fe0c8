"""``@subscribe``: makes a function, or a kind, a subscriber: a job of it runs for each event whose name matches.

A subscriber has a queue of its own in RabbitMQ, bound to the exchange of events; the bridges' process (:mod:`furrow.bridges`)
makes jobs of its messages.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from furrow.bridge import Bridge
from furrow.conf import conf
from furrow.errors import KindError
from furrow.events.classes import EventData
from furrow.kinds.kind import Handler, Kind
from furrow.submission.job import job
from furrow.topics import like, of_jobs, pattern_problem, wanted

#: What its queue is called, before the kind's name.
QUEUE = "furrow.events."
#: By the kind's name.
_subscribers: dict[str, "Subscriber"] = {}


@dataclass(frozen=True)
class Subscriber:
    """A kind, and the patterns of the names that it wants."""

    kind: Kind
    patterns: tuple[str, ...]

    @property
    def queue(self) -> str:
        """Its queue in RabbitMQ."""
        return QUEUE + self.kind.name

    @property
    def bridge(self) -> Bridge:
        """How the bridges' process reads it."""
        return Bridge(
            self.queue,
            self.kind.name,
            argument=self.kind.arguments.names[0],
            body="json",
            known_by="id",
            type="quorum",
            single_active=True,
            exchange="furrow.events",
            routing_key=self.patterns[0],
            more_keys=self.patterns[1:],
        )

    def wants(self, name: str, depth: int) -> bool:
        """Whether a job shall be made of an event of this name."""
        return wanted(self.patterns, name, depth)


def subscribe(*patterns: str | type[EventData], **options: Any) -> Callable[[Handler | Kind], Kind]:
    """Run a job of this kind for each event whose name matches a pattern. Stands over a function, or over ``@job``.

    The handler takes one argument, the event: a ``dict``, or :class:`furrow.Occurred`.

    Args:
        patterns: names in which ``*`` stands for one word and ``#`` for any number of words: ``"order.*"``,
            ``"job.invoices.send.failed"``, ``"job.#.failed"``. A class (``EventData``) stands for its name in its version.
        options: those of ``@job``, where there is no ``@job``; ``ordered="{event.subject}"`` runs the jobs one after the other
            that tell of the same job.

    Raises:
        KindError: at import, when a pattern or an option cannot work.
    """
    names = tuple(one.event_type() if isinstance(one, type) and issubclass(one, EventData) else one for one in patterns)
    if not names or callable(names[0]):
        raise KindError("@subscribe needs a pattern, such as @subscribe('order.*').")

    def declare(handler: Handler | Kind) -> Kind:
        if isinstance(handler, Kind) and options:
            raise KindError(f"@subscribe over @job takes no option: give {', '.join(options)} to @job of {handler.name}.")
        kind = handler if isinstance(handler, Kind) else job(**options)(handler)
        _refuse(kind, names)
        _subscribers[kind.name] = Subscriber(kind, names)
        return kind

    return declare


def _refuse(kind: Kind, patterns: Collection[Any]) -> None:
    for pattern in patterns:
        if problem := pattern_problem(pattern):
            raise KindError(f"{kind.name}: @subscribe: {problem}.")
    if len(kind.arguments.names) != 1:
        raise KindError(
            f"{kind.name}: a subscriber takes one argument, the event, and not {len(kind.arguments.names)}: "
            "write def handler(event: Occurred)."
        )
    if kind.name in _subscribers:
        raise KindError(f"{kind.name}: it subscribes twice: give all patterns to one @subscribe.")


def all_subscribers() -> list[Subscriber]:
    """Those that this process knows, by the names of their kinds."""
    return [_subscribers[name] for name in sorted(_subscribers)]


def subscriber_of(queue: str) -> Subscriber | None:
    """Whose queue this is; ``None`` for any other queue."""
    return _subscribers.get(queue.removeprefix(QUEUE)) if queue.startswith(QUEUE) else None


def all_bridges() -> list[Bridge]:
    """What the bridges' process reads: queues of other programs, and those of subscribers."""
    return [*conf().bridges, *(subscriber.bridge for subscriber in all_subscribers())]


def queues() -> dict[str, tuple[str, ...]]:
    """Of each subscriber's queue the patterns."""
    return {subscriber.queue: subscriber.patterns for subscriber in all_subscribers()}


def wanted_of_jobs(more: Iterable[str] = ()) -> frozenset[str]:
    """What names the events of jobs have that somebody wants, as patterns for ``LIKE``; none: nobody wants any. ``more``: what
    webhooks want."""
    patterns = [*more, *conf().events, *(pattern for subscriber in all_subscribers() for pattern in subscriber.patterns)]
    return frozenset(like(pattern) for pattern in patterns if of_jobs(pattern))
