"""Requests that wait for something, each for at most ``LONGEST`` seconds (and no more at once than :mod:`furrow.web.waiters`
says)."""

import time
from collections.abc import Callable
from typing import TypeVar

from furrow.conf import conf
from furrow.web import waiters
from furrow.web.problems import Refused

#: Seconds that one request waits, at most; between two looks at the database, at first and at most.
LONGEST, SOON, LATER = 25.0, 0.05, 0.5
#: Seconds after which a request that found no place may try again.
AGAIN = 2.0

Found = TypeVar("Found")


def until(look: Callable[[], tuple[Found, bool]], seconds: float) -> Found:
    """What ``look`` finds, as soon as it says that this is it, or when the time is over.

    Raises:
        Refused: 503, when too many wait already.
    """
    found, is_it = look()
    if is_it or seconds <= 0:
        return found
    end, pause = time.monotonic() + min(seconds, LONGEST), SOON
    if not waiters.enter():
        text = f"{conf().api_waiters} requests wait here already, which is the most (FURROW['API_WAITERS'])"
        raise Refused(503, f"{text}: ask again, or without wait.", retry_after=AGAIN)
    try:
        while not is_it and (left := end - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(LATER, pause * 1.5)
            found, is_it = look()
    finally:
        waiters.leave()
    return found
