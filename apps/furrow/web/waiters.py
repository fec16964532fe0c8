"""Requests that wait for something, each in a thread of the web server: together at most ``FURROW["API_WAITERS"]`` at once in a
process, so that they do not take all of its threads."""

import threading

from furrow.conf import conf

_mutex = threading.Lock()
_waiting = 0


def enter() -> bool:
    """Whether one more may wait; it calls :func:`leave` in the end."""
    global _waiting
    with _mutex:
        if _waiting >= conf().api_waiters:
            return False
        _waiting += 1
        return True


def leave() -> None:
    """One waits no more."""
    global _waiting
    with _mutex:
        _waiting -= 1
