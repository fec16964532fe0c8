"""What an exception says of the message that was being handled: whether the message can never be used, or not now.

A message that can never be used is kept as a dead one. One that met a bug of ours, a database that is away or a shortage is
held, unacknowledged, and handled again, later each time: RabbitMQ gives it to another worker when this one ends.
"""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.worker import state as celery_state
from django.db import Error
from kombu.exceptions import KombuError

from furrow.diagnosis import troubles
from furrow.statements.refused import refuses_value
from furrow.worker.failing import OF_THE_CONNECTION
from furrow.worker.ledger.dead import DeadMessages
from furrow.worker.pool.shutdown import shutdown_requested
from furrow.worker.shortage import is_shortage

#: Seconds until a message is handled again: the first time, and at most.
AGAIN, AGAIN_LATEST = 0.5, 60.0
#: Seconds that a time limit has at most.
LONGEST_LIMIT = 10 * 365 * 86_400
#: What Celery and kombu raise over the content of a message.
_OF_ITS_CONTENT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error, KombuError)
#: The folder of the worker.
_ENGINE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def is_of_the_message(error: BaseException) -> bool:
    """It would come again with the same message, and did not arise in code of ours."""
    if isinstance(error, Error):
        return refuses_value(error)
    if not isinstance(error, (*_OF_ITS_CONTENT, RecursionError)):
        return False
    trail, innermost = error.__traceback__, ""
    while trail is not None:
        innermost, trail = trail.tb_frame.f_code.co_filename, trail.tb_next
    return not innermost.startswith(_ENGINE)


def wrong_limits(limits: Any) -> str:
    """What is wrong with a task's time limits; empty when nothing is. Celery finds it out in the middle of its work."""
    if limits and not (isinstance(limits, (list, tuple)) and len(limits) == 2 and all(map(_is_limit, limits))):
        return f"its header timelimit is {str(limits)[:100]!r}, and not two numbers of seconds"
    return ""


def _is_limit(seconds: Any) -> bool:
    return seconds is None or (isinstance(seconds, (int, float)) and 0 <= seconds <= LONGEST_LIMIT)  # NaN is not


class Handling:
    """Handles messages, with the function of the connection that there is."""

    def __init__(self, worker: Any, dead: DeadMessages, unsettled: set[int]) -> None:
        self._worker, self._dead, self._unsettled = worker, dead, unsettled
        self._handle: Callable[[Any], None]  # there is none before the first connection
        self._process_task = worker._process_task
        worker._process_task = self.process_task

    def over(self, handle: Callable[[Any], None]) -> "Handling":
        """From now on, over a new connection, with this function."""
        self._handle = handle
        return self

    def __call__(self, message: Any) -> None:
        """Handle it.

        Raises:
            AMQPError, OperationalError, OSError: RabbitMQ is away.
        """
        try:
            self._handle(message)
        except Exception as error:
            self.failed(message, error)

    def failed(self, message: Any, error: Exception) -> None:
        """Keep it, or handle it again."""
        if isinstance(error, OF_THE_CONNECTION) and not is_shortage(error):
            raise error
        for request in [one for one in celery_state.requests.values() if getattr(one, "message", None) is message]:
            celery_state.task_ready(request)
        if is_of_the_message(error):
            self._dead.keep(message, f"It is no valid task: {type(error).__name__}: {str(error)[:500]}")
            return
        troubles.failed("handling of a message", error)
        self.later(message)

    def later(self, message: Any) -> None:
        """Hold it, unacknowledged, and handle it again. Returned to a quorum queue it would count as delivered, and be dropped
        after some deliveries."""
        self._unsettled.add(message.delivery_tag)
        delay = getattr(message, "again_in", AGAIN)
        message.again_in = min(2 * delay, AGAIN_LATEST)
        self._worker.hub.call_later(delay, self._again, message)

    def process_task(self, request: Any) -> None:
        """Celery gives the request to the pool; when that fails, the place in the pool that it had is free again."""
        wrong = wrong_limits(request.time_limits)  # those of the old protocol are in the body
        try:
            if not wrong:
                self._process_task(request)
                return
            error: Exception = ValueError(wrong)
        except Exception as caught:
            error = caught
        with suppress(AttributeError):
            self._worker._quick_release()
        self.failed(request.message, error)

    def _again(self, message: Any) -> None:
        if message.channel.connection is None or shutdown_requested():
            return  # RabbitMQ has it again
        self._unsettled.discard(message.delivery_tag)
        self(message)
