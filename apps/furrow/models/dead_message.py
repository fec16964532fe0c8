"""Dead messages: those that no worker could process."""

from django.db import models
from django.db.models.functions import Now


class DeadMessage(models.Model):
    """What arrived, and why it could not be used. Kept until somebody replays or deletes it, at most as long as failed jobs."""

    received_at = models.DateTimeField(db_default=Now())
    #: In one line, for people.
    reason = models.TextField()
    #: The node that received it.
    worker = models.CharField(max_length=255, blank=True, default="")
    exchange = models.CharField(max_length=255, blank=True, default="")
    routing_key = models.CharField(max_length=255, blank=True, default="")
    #: AMQP's properties and headers, as JSON text: it may hold what a JSON column refuses.
    properties = models.TextField(default="{}")
    #: Its beginning, and how many bytes it had.
    body = models.BinaryField(default=b"")
    size = models.BigIntegerField(default=0)
    #: The queue of the bridge that kept it; empty: no bridge did.
    bridge = models.CharField(max_length=255, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "delete")
        permissions = [("replay_deadmessage", "Can replay dead messages")]
        indexes = [
            models.Index(fields=["received_at"], name="furrow_dead_message_received"),
            models.Index(fields=["bridge"], name="furrow_dead_message_bridge", condition=~models.Q(bridge="")),
        ]

    def __str__(self) -> str:
        return f"dead message {self.pk}"

    @property
    def replayable(self) -> bool:
        """It can be sent again: all of it was kept, and it is known where it came from."""
        whole = not self.properties.startswith('{"cut"') and '"unreadable":' not in self.properties
        return bool(self.routing_key or self.bridge) and self.size == len(self.body) and whole
