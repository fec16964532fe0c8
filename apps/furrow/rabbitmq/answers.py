"""Answers go out: to queues that other programs own, each confirmed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import amqp

from furrow.rabbitmq.broker import Publisher

#: How RabbitMQ names the queues of its direct reply-to. They are none: whether one is still there it does not tell.
DIRECT = "amq.rabbitmq.reply-to."


def answer_queue(task_id: str) -> str:
    """Where celery-node looks for a result that is not in Redis. Its messages do not say so, and it makes that only when it
    looks."""
    return task_id.replace("-", "")


class Answer(NamedTuple):
    """A message to one queue."""

    id: str
    queue: str
    body: bytes
    #: AMQP's, without the message-id.
    properties: dict[str, Any]


class Post(Publisher):
    """Sends answers. Declares nothing: the queues are others'."""

    name = "furrow answers"

    def send(self, answers: Sequence[Answer]) -> set[str]:
        """Send them, and wait until RabbitMQ has confirmed all.

        Returns:
            The ids of those that no queue took.

        Raises:
            BrokerError: not reachable, or not confirmed. Some may have arrived.
        """
        with self._explained():
            channel = self._open("")
            self._refused.clear()
            self._returned.clear()
            for answer in answers:
                self._sent += 1
                self._unconfirmed.add(self._sent)
                message = amqp.Message(answer.body, message_id=answer.id, **answer.properties)
                channel.basic_publish(message, "", answer.queue, mandatory=not answer.queue.startswith(DIRECT))
            self._wait()
            if self._refused:
                raise OSError("RabbitMQ refused an answer (a queue that is full?)")
        return set(self._returned)

    def _declare(self, queue: str) -> None:
        """Nothing."""
