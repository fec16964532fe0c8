"""What runs emit for readers outside."""

from django.db import models

from furrow.models.job import Job


class OutputChunk(models.Model):
    """One chunk of a run's output stream, as ``current_job.emit`` was given it; numbered from 1 in each attempt."""

    pk = models.CompositePrimaryKey("job_id", "attempt", "number")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="output", db_constraint=False, db_index=False)
    attempt = models.IntegerField()
    number = models.IntegerField()
    at = models.DateTimeField()
    #: JSON text.
    value = models.TextField()
    #: The attempt emitted more than is kept; this chunk says so, and is its last one.
    cut = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ["job", "attempt", "number"]

    def __str__(self) -> str:
        return f"chunk {self.attempt}.{self.number} of job {self.job_id}"
