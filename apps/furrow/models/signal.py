"""Signals: what is told to a job from outside."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Signal(models.Model):
    """One signal to a job (or whatever else has this id), kept until a step takes it. Each is taken once."""

    target = models.UUIDField()
    name = models.CharField(max_length=200)
    #: JSON text.
    payload = models.TextField(db_default="null", default="null")
    sent_at = models.DateTimeField(db_default=Now(), editable=False)
    #: Who sent it, for people; empty for code.
    sent_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    #: When a step took it, and the step's name.
    consumed_at = models.DateTimeField(null=True, blank=True)
    step = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["target", "name", "id"], name="furrow_signal_target"),
            models.Index(fields=["sent_at"], name="furrow_signal_kept", condition=Q(consumed_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"signal {self.name} to {self.target}"
