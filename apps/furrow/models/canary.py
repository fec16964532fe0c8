"""Canaries: a share of a kind's jobs goes to the workers of one version of the project's code."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Canary(models.Model):
    """Of one kind. It holds while its row is there; people make, widen and take it back."""

    kind = models.CharField(max_length=200, unique=True)
    #: ``FURROW["VERSION"]`` of the workers that get the share, and nothing else of this kind.
    version = models.CharField(max_length=100)
    #: Of the kind's jobs, from 0 to 1.
    share = models.FloatField()
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    changed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["kind"]
        verbose_name_plural = "canaries"
        default_permissions = ("view", "change")
        constraints = [models.CheckConstraint(condition=Q(share__gte=0, share__lte=1), name="furrow_canary_share")]

    def __str__(self) -> str:
        return f"{self.share:.0%} of {self.kind} to version {self.version}"
