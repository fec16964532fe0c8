"""Partitions of a queue in RabbitMQ: quorum queues behind a consistent-hash exchange."""

import contextlib
import logging
from typing import Any

import amqp
from kombu import Connection, Exchange
from kombu import Queue as RabbitQueue

from furrow.errors import NoPartitions, QueueRefused
from furrow.partitions import Queue, part_name
from furrow.plural import counted

logger = logging.getLogger(__name__)


def partition_exchange(queue: str) -> Exchange:
    """Where the jobs of a queue with partitions are published: the routing key's hash says to which of its partitions."""
    return Exchange(f"furrow.{queue}", type="x-consistent-hash", durable=True)


def partition(name: str) -> RabbitQueue:
    """A partition: a quorum queue that gives its messages to one consumer at a time, to the next one when that is gone."""
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    return RabbitQueue(name, durable=True, queue_arguments=arguments)


def lay(connection: Connection, channel: Any, queue: Queue) -> None:
    """Bind the partitions in the order of their names, to an exchange that nothing else is bound to: so a key goes to the same
    partition, also after a partition was added or deleted, or after RabbitMQ built its ring anew. Only who publishes does this;
    nothing is lost meanwhile, since what is not routed is not confirmed.

    Raises:
        NoPartitions: RabbitMQ has no such exchange.
        QueueRefused: an exchange of that name is there, and is not Furrow's.
    """
    exchange = partition_exchange(queue.name)(channel)
    try:
        exchange.declare()  # refused where it is another's: only what is as Furrow makes it may be deleted
        exchange.delete()
        exchange.declare()
    except (amqp.exceptions.InvalidCommand, amqp.exceptions.PreconditionFailed) as error:  # without the plugin: RabbitMQ 3; 4
        if "inequivalent" in error.reply_text:
            raise QueueRefused(refusal(exchange.name, error)) from error
        raise NoPartitions(
            f"queue {queue.name} has partitions, and RabbitMQ has no consistent-hash exchange: "
            "run rabbitmq-plugins enable rabbitmq_consistent_hash_exchange on every node"
        ) from error
    for name in queue.parts:
        channel.queue_bind(name, exchange.name, routing_key="1")  # its weight
    _delete_surplus(connection, queue)


def refusal(name: str, error: amqp.ChannelError) -> str:
    """Why a queue or exchange cannot be used, and what to do about it."""
    return (
        f"RabbitMQ refuses {name} ({error.reply_text}): another one of that name exists, which Furrow did not declare "
        "and does not touch. Delete or rename it if it is yours, or give the queue another name in FURROW['QUEUES']"
    )


def _delete_surplus(connection: Connection, queue: Queue) -> None:
    """Partitions that the queue had and has no more; the jobs whose messages they hold are sent again by reconcile. A queue of
    such a name that is not declared as a partition is somebody else's, and stays."""
    number = queue.partitions
    with contextlib.suppress(amqp.NotFound), connection.channel() as channel:
        while True:
            name = part_name(queue.name, number)
            channel.queue_declare(name, passive=True)
            try:
                partition(name)(channel).queue_declare()
            except amqp.PreconditionFailed as error:
                logger.warning("It is not deleted: %s", refusal(name, error))
                return
            channel.queue_delete(name)
            logger.warning("Queue %s has %s now; %s is deleted.", queue.name, counted(queue.partitions, "partition"), name)
            number += 1
