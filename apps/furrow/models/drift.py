"""Drift: disagreements between rows, messages and processes."""

from django.db import models


class Drift(models.Model):
    """One kind of disagreement, as the leading dispatcher found it when it last looked. It repairs what lasts."""

    name = models.CharField(max_length=50, primary_key=True)
    #: How many were found at the last look, and how many were repaired since the beginning.
    found = models.IntegerField(default=0)
    repaired = models.BigIntegerField(default=0)
    looked_at = models.DateTimeField()
    #: When it was last found, and when something was last repaired.
    found_at = models.DateTimeField(null=True, blank=True)
    repaired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)
        verbose_name_plural = "drift"

    def __str__(self) -> str:
        return self.name
