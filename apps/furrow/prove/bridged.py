"""The campaign's bridge, which is its subscribers' too, and a program that fills its queue and knows only RabbitMQ.

``python -m furrow.prove.bridged bridge`` reads; ``python -m furrow.prove.bridged publish SEED RATE`` publishes until SIGTERM.
The publisher writes down each id before it sends the message (``intent``) and after RabbitMQ has confirmed it (``confirmed``);
some it sends twice.
"""

import os
import random
import signal
import sys
import time
import uuid
from urllib.parse import unquote, urlsplit

import amqp
import django

from furrow.bridge import Bridge
from furrow.prove.records import Record

#: A message is known by its id, and its body is that id too.
BRIDGE = Bridge("prove.bridged", "prove.bridged", type="quorum", known_by="id")
#: Messages that are sent before their confirms are waited for; one of so many is sent twice; seconds after a failure.
BATCH, TWICE, RETRY = 20, 10, 0.5
#: Seconds that RabbitMQ has for an answer.
PATIENCE = 10.0

journal = Record("published")


def bridge() -> None:
    """Read, as ``manage.py furrow bridges`` does."""
    django.setup()
    from furrow.bridges.command import run
    from furrow.events.subscribers import all_subscribers

    run([BRIDGE, *(subscriber.bridge for subscriber in all_subscribers())])


def publish(seed: str, rate: float) -> None:
    """Publish about so many messages a second."""
    dice = random.Random(f"{seed}:{os.getpid()}")  # noqa: S311 - no secret
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    while not stopping:
        try:
            with connected() as link:
                channel = link.channel()
                channel.confirm_select()
                arguments = {"x-queue-type": BRIDGE.type}
                channel.queue_declare(BRIDGE.queue, durable=True, auto_delete=False, arguments=arguments)
                while not stopping:
                    _send(channel, dice)
                    time.sleep(BATCH / rate)
        except (amqp.AMQPError, OSError):
            time.sleep(RETRY)


def connected() -> amqp.Connection:
    """A connection to RabbitMQ, of a program that knows nothing of Furrow."""
    url = urlsplit(os.environ["BROKER_URL"])
    link = amqp.Connection(
        f"{url.hostname}:{url.port}",
        userid=unquote(url.username or ""),
        password=unquote(url.password or ""),
        connect_timeout=PATIENCE,
        read_timeout=PATIENCE,
        write_timeout=PATIENCE,
    )
    link.connect()
    return link


def _send(channel: amqp.Channel, dice: random.Random) -> None:
    """A batch, and wait for its confirms."""
    ids = [uuid.uuid4().hex for _ in range(BATCH)]
    journal.write(did="intent", ids=ids)
    for id in ids:
        message = amqp.Message(id, message_id=id, delivery_mode=2, content_type="text/plain")
        for _ in range(1 + (dice.randrange(TWICE) == 0)):
            channel.basic_publish_confirm(message, "", BRIDGE.queue, confirm_timeout=PATIENCE, mandatory=True)
        journal.write(did="confirmed", id=id)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1] == "bridge":
        bridge()
    else:
        publish(sys.argv[2], float(sys.argv[3]))
