"""Requests of people to workers, with the answers."""

from django.db import models
from uuid_utils.compat import uuid7


class WorkerRequest(models.Model):
    """Asked through the database, so that no lost message or absent broker loses it: the worker looks once a second."""

    class Action(models.TextChoices):
        """What a worker may be asked to do; ``subject`` is the queue's name or the job's id."""

        PAUSE = "pause", "stop consuming a queue"
        RESUME = "resume", "consume a queue again"
        STACK = "stack", "say where a job is"
        RESTART = "restart", "replace its pool processes"
        SHUTDOWN = "shutdown", "shut down"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    #: ``Worker.id``: one life of a worker. A later one under the same name is not meant.
    worker = models.UUIDField()
    action = models.CharField(max_length=10, choices=Action.choices)
    subject = models.CharField(max_length=100, blank=True, default="")
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=150, blank=True, default="")
    #: When the worker took it, and when it had done it or could not.
    taken_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    succeeded = models.BooleanField(null=True, blank=True)
    answer = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answered_at__isnull=True, succeeded__isnull=True)
                | models.Q(answered_at__isnull=False, succeeded__isnull=False, taken_at__isnull=False),
                name="furrow_worker_request_answer",
            )
        ]
        indexes = [
            # The worker's look, every second.
            models.Index(fields=["worker"], name="furrow_worker_request_open", condition=models.Q(taken_at__isnull=True)),
            models.Index(fields=["worker", "-id"], name="furrow_worker_request_worker"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}".strip()
