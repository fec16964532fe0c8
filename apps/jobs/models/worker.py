"""A worker's presence and lease."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Worker(models.Model):
    """One life of a Celery worker: a restart is a new row. It owns the jobs it runs while ``lease_until`` is ahead."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    #: Celery's node name, as Flower shows it.
    node = models.CharField(max_length=255)
    pid = models.IntegerField()
    processes = models.IntegerField()
    queues = models.JSONField(default=list)
    kinds = models.JSONField(default=list)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField()
    #: Set when it stopped in order, or when the dispatcher took it for dead (``lost``).
    stopped_at = models.DateTimeField(null=True, blank=True)
    lost = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["lease_until"], name="worker_living", condition=models.Q(stopped_at__isnull=True))]

    def __str__(self) -> str:
        return self.node
