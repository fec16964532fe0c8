"""The rows that the clients of the histories write, and the record of what was written."""

from django.db import models
from furrow import FencedModel


class Row(FencedModel):
    """Counts."""

    name = models.CharField(max_length=50, primary_key=True)
    value = models.IntegerField(default=0)

    class Meta:
        app_label = "tests"


class Written(models.Model):
    """A write, in the order in which the database took them (each under the lock of its row)."""

    name = models.CharField(max_length=50)
    token = models.BigIntegerField()
    value = models.IntegerField()

    class Meta:
        app_label = "tests"
