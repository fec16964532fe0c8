"""Who reads the queue of a bridge."""

import datetime as dt

from django.db import models
from django.db.models.functions import Now


class BridgeReader(models.Model):
    """A process of bridges and one of its queues, as that process says itself."""

    #: How often a process says so; who has not for this long is gone; how long its row stays.
    EVERY, ALIVE, KEPT = dt.timedelta(seconds=5), dt.timedelta(seconds=20), dt.timedelta(days=7)

    queue = models.CharField(max_length=255)
    node = models.CharField(max_length=255)
    pid = models.IntegerField()
    #: Why it does not read the queue now; empty: it does.
    trouble = models.TextField(blank=True, default="")
    #: Messages that it has read since it started, and when it read the last.
    messages = models.BigIntegerField(default=0, db_default=0)
    last_message_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = "bridge", "bridges"
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["queue", "node", "pid"], name="furrow_bridge_reader_once")]

    def __str__(self) -> str:
        return f"{self.queue} by {self.node}"
