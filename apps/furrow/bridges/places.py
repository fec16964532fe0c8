"""Places: how far each stream was read, kept with the jobs. So each message is one job, whoever reads the stream how often."""

from collections.abc import Sequence

from furrow.bridge import Bridge
from furrow.models import StreamPlace
from furrow.rabbitmq.inbox import Arrived

#: The header that says where in its stream a message stands.
OFFSET = "x-stream-offset"


def place(bridge: Bridge) -> int | str:
    """Where to read the bridge's stream from: the offset, or the bridge's word for where to begin."""
    found = StreamPlace.objects.filter(queue=bridge.queue).first()
    return bridge.start if found is None else found.next_offset


def pass_by(bridge: Bridge, arrived: Sequence[Arrived]) -> list[Arrived]:
    """Those of a stream's messages that nobody has read, in a transaction: with its commit they are read. Until then whoever
    reads the same stream waits."""
    StreamPlace.objects.get_or_create(queue=bridge.queue)
    read = StreamPlace.objects.select_for_update().get(queue=bridge.queue)
    fresh = [one for one in arrived if _offset(one) >= read.next_offset]
    if fresh:
        read.next_offset = _offset(fresh[-1]) + 1
        read.save()
    return fresh


def _offset(one: Arrived) -> int:
    return int(one.message.headers[OFFSET])
