"""Requests over AMQP: the queue where workers in other languages ask, in a project that wants one."""

from furrow.bridge import Bridge
from furrow.conf import WORK_QUEUE, conf

#: An exchange of the same name leads there, so that a worker's account needs to write to nothing else.
#: Requests that wait for a job are held meanwhile: others must come in beside them.
REQUESTS = Bridge(WORK_QUEUE, kind="", type="quorum", exchange=WORK_QUEUE, exchange_type="fanout", prefetch=1_000)


def requests() -> list[Bridge]:
    """It; none where workers ask over HTTP alone."""
    return [REQUESTS] if conf().external_over_amqp else []
