"""The classic example: a program that knows only RabbitMQ says hello, and a job logs it (docs/bridges.md)."""

import logging

from furrow import job

logger = logging.getLogger(__name__)


@job
def log_message(text: str) -> None:
    """Log a text message of the queue ``hello``.

    text: the message.
    """
    logger.info("Received a message: %s", text)
