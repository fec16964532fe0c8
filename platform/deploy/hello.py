"""RabbitMQ's first tutorial: a program that publishes ``Hello`` to the queue ``hello``, and knows nothing of Furrow."""

import os
import sys

from amqp import Message
from kombu import Connection


def say_hello(url: str, times: int) -> None:
    """Publish it so many times."""
    with Connection(url) as connection, connection.channel() as channel:
        channel.queue_declare("hello", durable=False, auto_delete=False)
        for _ in range(times):
            channel.basic_publish(Message("Hello"), exchange="", routing_key="hello")


if __name__ == "__main__":
    say_hello(os.environ["BROKER_URL"], int(sys.argv[1]) if sys.argv[1:] else 1)
