"""Dead messages: replay or delete them."""

import json

from furrow.errors import DeadMessageError
from furrow.models import DeadMessage
from furrow.models.database import atomic
from furrow.rabbitmq.broker import Publisher


def replay(message_id: int) -> bool:
    """Send a message again as it came, and forget it once RabbitMQ has it in a queue. That of a bridge goes to the bridge's
    queue alone: its exchange may have others' queues too, which had it.

    Returns:
        ``False`` when it does not exist, or somebody else is at it.

    Raises:
        DeadMessageError: only its beginning was kept, or it says not where it came from.
        BrokerError: RabbitMQ could not be reached, or no queue takes it. The message is kept.
    """
    with atomic():
        message = DeadMessage.objects.select_for_update(skip_locked=True).filter(pk=message_id).first()
        if message is None:
            return False
        if not message.replayable:
            raise DeadMessageError(
                f"Message {message_id} cannot be replayed: "
                + (
                    "only the beginning of its body or properties was kept."
                    if message.routing_key or message.bridge
                    else "its job does not exist."
                )
            )
        exchange, key = ("", message.bridge) if message.bridge else (message.exchange, message.routing_key)
        Publisher().replay(exchange, key, json.loads(message.properties), bytes(message.body))
        message.delete()
        return True


def delete(message_id: int) -> bool:
    """Forget a message; ``False`` when it does not exist."""
    return bool(DeadMessage.objects.filter(pk=message_id).delete()[0])
