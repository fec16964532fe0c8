"""Requests that wait for something: at most ``FURROW["API_WAITERS"]`` at once in a process, so that they do not take all of its
threads, and each for ``LONGEST`` seconds."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from furrow.conf import conf
from furrow.web.problems import Refused

#: Seconds that one request waits, at most; between two looks at the database, at first and at most.
LONGEST, SOON, LATER = 25.0, 0.05, 0.5
#: Seconds after which a request that found no place may try again.
AGAIN = 2.0
_mutex = threading.Lock()
_waiting = 0

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
    _begin()
    try:
        while not is_it and (left := end - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(LATER, pause * 1.5)
            found, is_it = look()
    finally:
        _end()
    return found


def _begin() -> None:
    global _waiting
    with _mutex:
        if _waiting >= conf().api_waiters:
            text = (
                f"{_waiting} requests wait here already, which is the most (FURROW['API_WAITERS']): ask again, or without wait."
            )
            raise Refused(503, text, retry_after=AGAIN)
        _waiting += 1


def _end() -> None:
    global _waiting
    with _mutex:
        _waiting -= 1
