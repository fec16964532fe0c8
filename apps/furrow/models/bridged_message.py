"""A message that became a job."""

from django.db import models
from django.db.models.functions import Now


class BridgedMessage(models.Model):
    """Written with the job, before the message is acknowledged: when that comes again, no second job is made of it."""

    queue = models.CharField(max_length=255)
    #: SHA-256, in hexadecimal digits, of what the message is known by: its id, or its body.
    key = models.CharField(max_length=64)
    job = models.UUIDField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["queue", "key"], name="furrow_bridged_once")]
        indexes = [models.Index(fields=["at"], name="furrow_bridged_at")]

    def __str__(self) -> str:
        return f"a message of {self.queue}"
