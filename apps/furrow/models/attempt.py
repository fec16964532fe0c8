"""Attempts: one row for each run that ended."""

from django.db import models

from furrow.models.job import Job
from furrow.states import Outcome


class Attempt(models.Model):
    """One run of a job, written in the transaction that settles it. Append-only."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts", db_constraint=False, db_index=False)
    number = models.IntegerField()
    outcome = models.CharField(max_length=12, choices=[(o.value, o.value) for o in Outcome])
    worker = models.UUIDField(null=True, blank=True)
    #: The pool process that ran it; 0 when the run did not reach one.
    pid = models.IntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    error_type = models.CharField(max_length=200, blank=True, default="")
    error = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["job", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="furrow_attempt_job_number")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id}"

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.finished_at - self.started_at).total_seconds()
