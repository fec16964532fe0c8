"""Events: what happened, on its way to whoever subscribes."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from furrow.models.json_field import JSONField


class Event(models.Model):
    """Written in the transaction that it tells of, and published by the leading dispatcher after the commit. Kept for
    ``FURROW["EVENT_RETENTION"]``."""

    #: The routing key: ``job.<kind>.<event>``, or a name of the project's own such as ``order.paid``.
    name = models.CharField(max_length=255)
    #: Whose event it is, and the how many-th of that job, counted from 1 without gaps; null for events of the project's own.
    job = models.UUIDField(null=True, blank=True)
    number = models.IntegerField(null=True, blank=True)
    data = JSONField(shape=dict, default=dict, db_default={})
    #: How many subscribers in a row led to it: the run of a subscriber published it, or is what it tells of.
    depth = models.SmallIntegerField(db_default=0, default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    #: When RabbitMQ had confirmed it; of a batch that is marked later, always later than that of one before.
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="furrow_event_number", condition=Q(job__isnull=False))
        ]
        indexes = [
            models.Index(fields=["id"], name="furrow_event_unpublished", condition=Q(published_at__isnull=True)),
            models.Index(fields=["published_at", "id"], name="furrow_event_published", condition=Q(published_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"event {self.pk}: {self.name}"
