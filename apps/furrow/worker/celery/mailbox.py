"""The door of a worker's remote control: nothing sent there ends the worker, holds up its event loop or costs a connection.

Celery matches a pattern without a bound, replies over a connection for which it would wait for ever, and opens its mailbox anew
after any error, whereby the commands that wait in it are lost.
"""

import logging
import signal
from contextlib import suppress
from typing import Any

import amqp
from kombu import Exchange, Producer, matcher
from kombu.exceptions import OperationalError

from furrow.diagnosis import troubles
from furrow.worker.intake.readable import UNREADABLE
from furrow.worker.ledger.dead import DeadMessages

logger = logging.getLogger(__name__)

#: What Celery's logical clock has at most: it grows by one a message.
LATEST_CLOCK = 2**53
#: Seconds of processor time for matching a pattern with the worker's name: Python's regular expressions may take years.
MATCHING = 0.2


class TooLong(Exception):
    """A pattern did not match in time."""


def guard(box: Any, dead: DeadMessages) -> None:
    """Guard Celery's mailbox (its ``Pidbox``). What is no command is kept as a dead message."""
    node = box.node

    def on_message(body: Any, message: Any) -> None:
        wrong = message.properties.get(UNREADABLE)
        if wrong or not isinstance(body, dict) or not isinstance(body.get("method"), str):
            dead.keep(message, f"It is no remote control command: {wrong or 'no object with a method'}")
            return
        clock = message.headers.get("clock")
        if not isinstance(clock, int) or not 0 <= clock < LATEST_CLOCK:
            message.headers["clock"] = 0
        box.c.app.clock.forward()
        with troubles.watched("worker's remote control"):
            try:
                if is_meant(node.hostname, body):
                    node.handle_message({**body, "pattern": None}, message)
            except TooLong:
                logger.warning("A remote control command is left out: its pattern %.100r takes too long.", body["pattern"])
            except (amqp.AMQPError, OSError):
                with suppress(amqp.AMQPError, OSError):  # the connection is lost: Celery opens the box at the next one
                    box.reset()
            except Exception as error:  # Celery would open the box anew, and lose the commands that wait in it
                logger.exception("A remote control command cannot be carried out: %s", type(error).__name__)

    def reply(data: Any, exchange: str, routing_key: str, ticket: Any, **options: Any) -> None:
        try:
            _reply(box.c.connection, node.mailbox, data, exchange, routing_key, ticket)
        except (amqp.ChannelError, OperationalError) as error:
            logger.warning("The reply to a remote control command is not sent: %s", str(error).strip())

    box.on_message, node.reply = on_message, reply


def is_meant(hostname: str, body: dict[str, Any]) -> bool:
    """The worker of this name is among those that the pattern of a command means; one that names its destinations has none.

    Raises:
        TooLong: see the module.
    """
    pattern, how = body.get("pattern"), body.get("matcher")
    if body.get("destination") or not (pattern and how):
        return True

    def too_long(number: int, frame: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, too_long)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, MATCHING)
        return bool(matcher.match(hostname, pattern, how))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _reply(connection: Any, mailbox: Any, data: Any, exchange: str, routing_key: str, ticket: Any) -> None:
    """Over a channel of its own, which a refusal closes."""
    channel = connection.channel()
    try:
        to = Exchange(exchange, "direct", channel=channel, delivery_mode="transient", durable=False)
        if exchange:
            to.declare()
        Producer(channel, exchange=to, auto_declare=False, serializer=mailbox.serializer).publish(
            data, routing_key=routing_key, headers={"ticket": ticket, "clock": mailbox.clock.forward()}
        )
        channel.close()  # and with it hear of a refusal
    finally:
        with suppress(amqp.AMQPError, OSError):
            channel.close()
