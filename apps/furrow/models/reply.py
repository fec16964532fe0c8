"""An answer that somebody waits for."""

from enum import StrEnum

from django.db import models
from django.db.models.functions import Now


class Reply(models.Model):
    """Written with the job of a message that has a ``reply_to``; deleted once RabbitMQ has the answer."""

    class Form(StrEnum):
        """Who asks: the program behind a bridge, or a Celery client, to whom the dispatcher says it as Celery does."""

        BRIDGE = ""
        CELERY = "celery"

    form = models.CharField(max_length=8, blank=True, default="", db_default="")
    #: Whose end is the answer; null: the message became no job, for this reason.
    job = models.UUIDField(null=True)
    refused = models.TextField(blank=True, default="")
    #: AMQP's reply-to and correlation-id, as the message had them.
    reply_to = models.CharField(max_length=255)
    correlation_id = models.CharField(max_length=255, blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["job", "reply_to", "correlation_id"], name="furrow_reply_once")]

    def __str__(self) -> str:
        return f"an answer to {self.reply_to}"
