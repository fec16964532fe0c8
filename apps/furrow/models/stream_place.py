"""How far a stream was read."""

from django.db import models


class StreamPlace(models.Model):
    """Written with the jobs of a stream's messages: a stream keeps what was read, and does not know who read it."""

    queue = models.CharField(primary_key=True, max_length=255)
    #: The offset that is read next.
    next_offset = models.BigIntegerField(db_default=0, default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.queue} from {self.next_offset} on"
