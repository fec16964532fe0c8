"""Celery's remote control command ``add_consumer``: a queue that RabbitMQ has declared otherwise is refused in the reply.

Celery would meet the refusal on the channel of all its queues, again at every connection, and serve none of them.
"""

import logging
from contextlib import suppress
from typing import Any

import amqp
from celery.worker.control import Panel, nok, ok
from kombu import Queue

logger = logging.getLogger(__name__)


def install() -> None:
    """This worker answers the command so."""
    Panel.register(
        add_consumer,
        args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
        signature="<queue> [exchange [type [routing_key]]]",
    )


def add_consumer(
    state: Any, queue: str, exchange: Any = None, exchange_type: Any = None, routing_key: Any = None, **options: Any
) -> dict[str, str]:
    """Tell worker(s) to consume from task queue by name."""
    consumer = state.consumer
    given = {"exchange": exchange or queue, "exchange_type": exchange_type or "direct", "routing_key": routing_key or queue}
    known = consumer.app.amqp.queues
    if refusal := refused(consumer.connection, known[queue] if queue in known else Queue.from_dict(queue, **given, **options)):
        return nok(f"queue {queue} is not consumed: {refusal}")  # type: ignore[no-any-return]
    consumer.call_soon(consumer.add_task_queue, queue, exchange, exchange_type or "direct", routing_key, **options)
    return ok(f"add consumer {queue}")  # type: ignore[no-any-return]


def refused(connection: Any, queue: Any) -> str:
    """Why RabbitMQ does not declare this queue as it is meant; ``""`` when it does. Asked on a channel of its own, which a
    refusal closes."""
    channel = connection.channel()
    try:
        queue(channel).declare()
    except amqp.ChannelError as error:
        text = str(error).strip()
        logger.error("RabbitMQ refuses queue %s as it is asked for: %s", queue.name, text)
        return f"RabbitMQ has it, or its exchange, otherwise ({text}). Ask for it as it is declared there, or delete it there."
    finally:
        with suppress(amqp.AMQPError, OSError):
            channel.close()
    return ""
