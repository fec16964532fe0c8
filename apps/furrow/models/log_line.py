"""Log lines of attempts."""

from django.db import models

from furrow.models.job import Job


class LogLine(models.Model):
    """One line of an attempt's log. Append-only; ids grow in the order of logging."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="log_lines", db_constraint=False, db_index=False)
    attempt = models.IntegerField()
    at = models.DateTimeField()
    #: As in :mod:`logging`: 10 debug, 20 info, 30 warning, 40 error, 50 critical.
    level = models.SmallIntegerField()
    logger = models.CharField(max_length=200, blank=True, default="")
    message = models.TextField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["job", "id"], name="furrow_log_line_job")]

    def __str__(self) -> str:
        return f"log line {self.pk}"
