"""Approvals: what a job asks a person."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from furrow.models.job import Job
from furrow.models.json_field import JSONField
from furrow.models.users import user_field


class Approval(models.Model):
    """A question of a job to a person who has a permission, and the decision. It can be decided once, and while the job waits
    for it: neither the end of the job nor that of its time is written here, since a job may be taken up again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="approvals", db_constraint=False, db_index=False)
    #: The step of the job that asks.
    step = models.CharField(max_length=200)
    #: The workflow and the node whose job it is; null of a job that is none's.
    workflow = models.UUIDField(null=True, blank=True)
    node = models.UUIDField(null=True, blank=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="", db_default="")
    #: Who has it may decide.
    permission = models.CharField(max_length=200)
    #: What makes the form, as ``module:name``, and the JSON schema of the answers when it was asked; empty: there is no form.
    form = models.CharField(max_length=300, blank=True, default="", db_default="")
    schema = JSONField(shape=dict, null=True, blank=True)
    #: Who submitted the workflow, or the job, may not decide.
    second_person = models.BooleanField(default=False, db_default=False)
    asked_by = user_field()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    timeout_at = models.DateTimeField(null=True, blank=True)
    approved = models.BooleanField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    #: Who decided: the user, and their name, which outlives the user.
    decided_by = user_field()
    decider = models.CharField(max_length=200, blank=True, default="", db_default="")
    note = models.TextField(blank=True, default="", db_default="")
    answers = JSONField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, approved__isnull=True)
                | Q(decided_at__isnull=False, approved__isnull=False),
                name="furrow_approval_decided",
            )
        ]
        indexes = [
            models.Index(fields=["job"], name="furrow_approval_job"),
            models.Index(fields=["permission", "-id"], name="furrow_approval_open", condition=Q(decided_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"approval {self.title}"
