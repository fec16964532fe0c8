"""Troubles: unexpected errors of Furrow's processes."""

from django.db import models


class Trouble(models.Model):
    """One thing that goes wrong again and again, whichever process meets it: :mod:`furrow.diagnosis.troubles`."""

    #: What fails: "duty prune of the dispatcher".
    name = models.CharField(max_length=200, primary_key=True)
    #: What was said the last time, a sentence without its full stop; and what to do.
    text = models.TextField(blank=True, default="", db_default="")
    remedy = models.TextField(blank=True, default="", db_default="")
    #: How often it occurred since it began, and when that was. After a pause it begins anew.
    count = models.BigIntegerField(default=1, db_default=1)
    since = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
