"""Webhooks: addresses of other programs that want to hear of events."""

import base64
import secrets

from django.db import models
from django.db.models.functions import Now

from furrow.models.json_field import JSONField


def new_secret() -> str:
    """A secret in the form of Standard Webhooks: 24 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


class Webhook(models.Model):
    """One address; each event whose name matches a pattern is sent to it by a job of its own."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField(max_length=500, verbose_name="URL")
    #: Of names of events, as for :func:`furrow.subscribe`.
    patterns = JSONField(shape=list, default=list)
    #: What deliveries are signed with. It has to be readable.
    secret = models.CharField(max_length=100, default=new_secret, editable=False)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    #: Failed attempts since the last delivery that was taken, and when the first of them was.
    failures = models.IntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    #: Why Furrow switched it off; empty otherwise.
    disabled_reason = models.CharField(max_length=300, blank=True, default="", editable=False)

    class Meta:
        ordering = ["name"]
        default_permissions = ("add", "change", "delete", "view")

    def __str__(self) -> str:
        return self.name

    @property
    def tag(self) -> str:
        """What its deliveries, which are jobs, are tagged with."""
        return f"webhook:{self.pk}"
