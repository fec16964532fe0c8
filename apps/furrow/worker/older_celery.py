"""What Celery 5.5 and 5.6, with their kombu, lack of what the engine relies on. With 5.7 nothing here acts.

Other differences need no guard: the engine chooses its queues by name and keeps its timers itself, whatever the release.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

from celery import VERSION
from celery.platforms import EX_FAILURE
from celery.worker import state as celery_state

#: Tasks that wait for their time. Before Celery 5.7 nobody counts them, so there may be some.
_scheduled: Any = getattr(celery_state, "scheduled_requests", True)


def tasks_may_be_unsettled() -> bool:
    """Celery may hold messages of ordinary tasks that it has not acknowledged."""
    return bool(celery_state.reserved_requests or _scheduled)


def note_cold_shutdown() -> None:
    """Note that there is one. Celery's handler does so at its end; before 5.7 only if it did not fail."""
    if VERSION[:2] < (5, 7) and celery_state.should_terminate is None:
        celery_state.should_terminate = EX_FAILURE


def let_threads_wake(hub: Any) -> None:
    """Let ``hub.call_soon`` from another thread end the event loop's wait at once. kombu does so since 5.7; before, the call
    waits for whatever ends the wait next. Call it in the event loop's thread."""
    if hasattr(hub, "_create_waker"):
        return
    woken, waking = socket.socketpair()
    woken.setblocking(False)
    waking.setblocking(False)
    loop_thread, call_soon, create_poller = threading.get_ident(), hub.call_soon, hub._create_poller

    def drain() -> None:
        with suppress(BlockingIOError):
            woken.recv(4096)

    def call_soon_and_wake(callback: Any, *args: Any) -> Any:
        made = call_soon(callback, *args)
        if threading.get_ident() != loop_thread:
            with suppress(BlockingIOError):  # full: it is awake already
                waking.send(b"\0")
        return made

    def create_poller_that_wakes() -> None:
        create_poller()
        hub.add_reader(woken, drain)

    hub.call_soon, hub._create_poller = call_soon_and_wake, create_poller_that_wakes
    hub.add_reader(woken, drain)
