"""What fails in a worker's event loop though nobody thought of it: the loop goes on. What goes on failing ends the worker, with
an exit code other than zero; whoever supervises it starts another."""

import logging
import time
from collections.abc import Callable
from typing import Any

import amqp
from celery.platforms import EX_FAILURE
from celery.worker import state as celery_state
from kombu.exceptions import OperationalError

from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.worker.shortage import is_shortage

logger = logging.getLogger(__name__)

#: RabbitMQ is away: Celery connects anew.
OF_THE_CONNECTION = (amqp.AMQPError, OperationalError, OSError)


class Watched:
    """A function that the event loop calls again and again."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._fails_since = 0.0

    def __call__(self, *arguments: Any) -> None:
        """Call it. When it has failed each time for twice the length of a lease, the worker ends.

        Raises:
            AMQPError, OperationalError, OSError: RabbitMQ is away.
        """
        try:
            self._function(*arguments)
        except Exception as error:
            if isinstance(error, OF_THE_CONNECTION) and not is_shortage(error):
                raise
            troubles.failed(self._name, error)
            self._fails_since = self._fails_since or time.monotonic()
            if time.monotonic() - self._fails_since > 2 * conf().worker_lease:
                give_up(f"The {self._name} goes on failing")
        else:
            self._fails_since = 0.0


def give_up(reason: str) -> None:
    """End the worker in order, as after SIGTERM; Celery's loop does it when it next looks. From any thread."""
    if celery_state.should_stop is None:
        logger.critical("%s; this worker ends.", reason)
        celery_state.should_stop = EX_FAILURE
