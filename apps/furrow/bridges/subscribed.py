"""What a subscriber's queue brings: events, of which not every one shall be a job."""

from furrow.bridges.mapping import CannotMap, Mapped
from furrow.events.publish import MOST_DEPTH
from furrow.events.subscribers import subscriber_of
from furrow.rabbitmq.inbox import Arrived

#: Among the options of :class:`Mapped`: how many subscribers in a row led to the job.
DEPTH = "depth"


def admitted(arrived: Arrived, found: Mapped) -> Mapped | None:
    """What its job is given; ``None`` where it shall be none: a binding stays when a pattern is changed, and it does not know
    which jobs are subscribers' own. What comes of any other queue is as it was.

    Raises:
        CannotMap: it is no event, or too many subscribers in a row led to it.
    """
    subscriber = subscriber_of(arrived.bridge.queue)
    if subscriber is None:
        return found
    event = found.arguments[arrived.bridge.argument]
    name, depth = (event.get("type"), event.get(DEPTH, 0)) if isinstance(event, dict) else (None, 0)
    if not isinstance(name, str) or not isinstance(depth, int):
        raise CannotMap("it is no event in CloudEvents' JSON, which has a type")
    if not subscriber.wants(name, depth):
        return None
    if depth > MOST_DEPTH:
        raise CannotMap(
            f"{name} is the end of {depth} events in a row, of which each came of a subscriber of the one before: "
            "the subscribers hear of what they do themselves"
        )
    return found._replace(options=(*found.options, (DEPTH, depth + 1)))
