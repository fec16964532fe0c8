"""Holds: who has which slot of a limit. The primary key guarantees one holder for each slot."""

from django.db import models


class Hold(models.Model):
    """One slot of a key that is taken. A limit of n is the slots 0 to n - 1; a lock is slot 0 alone.

    Written by the leading dispatcher, before it sends the job; deleted when the job's run is settled.
    """

    pk = models.CompositePrimaryKey("key", "slot")
    key = models.CharField(max_length=210)
    slot = models.IntegerField()
    #: The job that holds it; null for a rate's slot whose run is over.
    job = models.UUIDField(null=True)
    #: Of a rate: for how long (seconds) a start keeps the slot, and when it is free again (null: it has not started).
    period = models.FloatField(null=True)
    free_at = models.DateTimeField(null=True)
    #: Of a rate's slot that was taken before it was free: when it is, and its job may begin.
    not_before = models.DateTimeField(null=True)
    #: Kept until the job is over, also while it waits for another attempt.
    ordered = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["job"], name="furrow_hold_job"),
            models.Index(fields=["free_at"], name="furrow_hold_free", condition=models.Q(free_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.slot}"
