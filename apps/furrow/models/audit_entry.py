"""Audit entries: who did what."""

from enum import StrEnum

from django.db import models
from django.db.models.functions import Now

from furrow.models.json_field import JSONField
from furrow.models.users import user_field


class Origin(StrEnum):
    """From where a person acted."""

    ADMIN = "admin"
    API = "API"
    ASSISTANT = "assistant"
    COMMAND_LINE = "command line"
    FLOWER = "Flower"


class AuditEntry(models.Model):
    """One thing that a person did. Written by :func:`furrow.actions.audit.audit` alone; a bulk action counts on."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    #: Kept as text as well: users are renamed and deleted, and a command line knows none of ours.
    who = models.CharField(max_length=200, blank=True, default="")
    user = user_field()
    #: The token of the HTTP API that the user acted with: its name and beginning.
    token = models.CharField(max_length=120, blank=True, default="", db_default="")
    origin = models.CharField(max_length=12, choices=[(o.value, o.value) for o in Origin])
    #: In the words of the pages: "cancel", "retry", "pause", "restart".
    action = models.CharField(max_length=40)
    #: To what, for people: "queue mail", "worker w1@host", "job reports.send …", "jobs that match".
    target = models.CharField(max_length=300, blank=True, default="")
    #: The job it was done to, or the job that carries it out.
    job = models.UUIDField(null=True, blank=True)
    #: ``{"ids": [...]}`` or ``{"filter": {...}}`` of an action on many; ``{}`` otherwise.
    selection = JSONField(shape=dict, default=dict, blank=True)
    #: To how many jobs (queues, workers); grows while a bulk action goes on.
    count = models.BigIntegerField(default=1)
    #: What else there is to say: a reason, the new priority.
    detail = models.CharField(max_length=500, blank=True, default="")
    #: How far a bulk action has come: the last job looked at.
    reached = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "audit log entry"
        verbose_name_plural = "audit log entries"
        indexes = [models.Index(fields=["job"], name="furrow_audit_job", condition=models.Q(job__isnull=False))]

    def __str__(self) -> str:
        return f"audit log entry {self.pk}"
