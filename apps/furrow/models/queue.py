"""Pauses of queues. A queue has a row once somebody has paused it; a queue without a row is open."""

from django.db import models


class Queue(models.Model):
    """A queue that is, or was, paused. The dispatcher and every claim look at it; it has no part in anything else."""

    name = models.CharField(max_length=100, primary_key=True)
    #: Since when nothing of this queue begins; empty: it goes on.
    paused_at = models.DateTimeField(null=True, blank=True)
    #: Drained rather than paused: what RabbitMQ has already may still run, nothing follows.
    draining = models.BooleanField(default=False, db_default=False)
    #: Who said so, and why, in their words.
    paused_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering = ["name"]
        indexes = [
            # The claim's: usually empty. Without it the ledger's connection, where sequential scans are off, would find this
            # query so dear that PostgreSQL compiles it.
            models.Index(
                fields=["name"], name="furrow_queue_closed", condition=models.Q(paused_at__isnull=False, draining=False)
            )
        ]

    def __str__(self) -> str:
        return self.name
