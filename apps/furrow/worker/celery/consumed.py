"""Which queues a worker consumes: those of its settings or ``-Q``, as Celery's remote control has changed them, but for those
that RabbitMQ has declared otherwise.

Celery would declare all on one channel: one refusal closes it, again at every connection, and no queue is served. And it
leaves ``add_consumer`` and ``cancel_consumer`` to its event loop, which calls them in any order. Here the commands change the
choice at once (``app.amqp.queues``), and the intake consumes what is chosen (:meth:`furrow.worker.intake.intake.Intake.look`).
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import amqp
from celery.worker.control import Panel, nok, ok
from kombu import Queue
from kombu.exceptions import OperationalError

from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.rabbitmq.queues import job_queue

if TYPE_CHECKING:
    from furrow.worker.celery.bootsteps import JobWorker

logger = logging.getLogger(__name__)

#: Seconds between two looks whether RabbitMQ still refuses a queue.
AGAIN = 5.0
#: Of the connection on which a queue that a command names is declared first: whatever is wrong with it costs that one alone.
_SHORT = {"connect_timeout": 2, "transport_options": {"read_timeout": 5, "write_timeout": 5}}


def install() -> None:
    """This worker answers the commands so."""
    Panel.register(
        add_consumer,
        args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
        signature="<queue> [exchange [type [routing_key]]]",
    )
    Panel.register(cancel_consumer, args=[("queue", str)], signature="<queue>")


def add_consumer(
    state: Any, queue: str, exchange: Any = None, exchange_type: Any = None, routing_key: Any = None, **options: Any
) -> dict[str, str]:
    """Tell worker(s) to consume from task queue by name."""
    consumer, known = state.consumer, state.consumer.app.amqp.queues
    if not queue:
        return nok("queue must be a name")  # type: ignore[no-any-return]
    given = {"exchange": exchange or queue, "exchange_type": exchange_type or "direct", "routing_key": routing_key or queue}
    of_jobs = queue in conf().queues
    meant = job_queue(queue) if of_jobs else known[queue] if queue in known else Queue.from_dict(queue, **given, **options)
    try:
        with consumer.connection.clone(**_SHORT) as link:
            refusal = refused(link, meant, consuming=True)
    except (amqp.AMQPError, OperationalError, OSError) as error:
        refusal = f"RabbitMQ does not declare it: {str(error) or type(error).__name__}"
    if refusal:
        return nok(f"queue {queue} is not consumed: {refusal}")  # type: ignore[no-any-return]
    logger.info("Consuming queue %s from now on, as remote control asks.", queue)
    if not of_jobs:
        known.add(meant)
    known.consume_from[queue] = meant
    return _chosen(consumer, f"add consumer {queue}")


def cancel_consumer(state: Any, queue: str, **options: Any) -> dict[str, str]:
    """Tell worker(s) to stop consuming from task queue by name."""
    consumer = state.consumer
    logger.info("Consuming queue %s no more, as remote control asks.", queue)
    consumer.app.amqp.queues.deselect(queue)
    consumer.refused.forget(queue)
    return _chosen(consumer, f"no longer consuming from {queue}")


def _chosen(consumer: Any, answer: str) -> dict[str, str]:
    jobs: JobWorker = consumer.controller.jobs
    jobs.intake.look(consumer)
    return ok(answer)  # type: ignore[no-any-return]


class Refused:
    """The queues that this worker is to consume, and RabbitMQ has otherwise or keeps for another: left out."""

    def __init__(self, node: str, queues: Any) -> None:
        self._node = node
        self._queues = queues  # Celery's ``Queues``
        self._waiting: dict[str, Any] = {}
        self._next = 0.0
        self._doubted = False

    def doubt(self, error: BaseException) -> None:
        """The connection ended so. Celery consumes all queues on one channel, and the one that is refused closes it: which one
        that is is found out at the next connection. Not at each: what is tried takes a message, and returns it."""
        self._doubted = isinstance(error, amqp.ChannelError)

    def leave_out(self, connection: Any) -> None:
        """Of a new connection, before anything is consumed: try all."""
        doubted, self._doubted = self._doubted, False
        for queue in list(self._queues.consume_from.values()):
            if reason := refused(connection, queue, consuming=doubted):
                logger.error("Queue %s is not consumed: %s", queue.name, reason)
                self._queues.deselect(queue.name)
                self._waiting[queue.name] = queue
        self._next = 0.0
        self.look_again(connection)

    def look_again(self, connection: Any) -> None:
        """Once in a while: try those that are left out."""
        if not self._waiting or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + AGAIN
        reasons = {name: refused(connection, queue, consuming=True) for name, queue in self._waiting.items()}
        for name in [name for name, reason in reasons.items() if not reason]:
            logger.info("RabbitMQ has queue %s as it is meant; it is consumed.", name)
            self._queues.consume_from[name] = self._waiting.pop(name)
        if self._waiting:
            names = ", ".join(sorted(self._waiting))
            alone = "" if self._queues.consume_from else " and so no queue at all"
            troubles.note(
                "queues of a worker",
                f"Worker {self._node} does not consume {names}{alone}: {reasons[min(self._waiting)]}",
                "Delete or rename what is there in RabbitMQ, end who consumes it alone, or give the queue another name in "
                f"FURROW['QUEUES'] or -Q; the worker looks for it every {AGAIN:g} s.",
            )

    def forget(self, name: str) -> None:
        """This worker shall not consume it."""
        self._waiting.pop(name, None)


def refused(connection: Any, queue: Any, *, consuming: bool = False) -> str:
    """Why RabbitMQ does not declare this queue as it is meant, or (``consuming``) does not let it be consumed: another program
    consumes it alone, a right is missing, arguments are wrong. ``""`` when it does. Asked on a channel of its own, which a
    refusal closes."""
    channel, why = connection.channel(), "has it, or its exchange, otherwise"
    try:
        bound = queue(channel)
        bound.declare()
        if consuming:
            why = "does not let it be consumed"
            channel.basic_qos(0, 1, False)
            bound.consume(no_ack=False, callback=lambda message: None)
    except amqp.ChannelError as error:
        return f"RabbitMQ {why} ({str(error).strip()})"
    finally:
        with suppress(amqp.AMQPError, OSError):
            channel.close()
    return ""
