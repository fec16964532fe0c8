"""What was seen of ordinary Celery tasks (``FURROW["ADOPT"] = "watch"``)."""

from django.db import models


class WatchedTask(models.Model):
    """A Celery task: what became of its calls since it was first seen."""

    name = models.CharField(max_length=255, primary_key=True)
    first_seen = models.DateTimeField()
    published = models.BigIntegerField(default=0, db_default=0)
    began = models.BigIntegerField(default=0, db_default=0)
    succeeded = models.BigIntegerField(default=0, db_default=0)
    failed = models.BigIntegerField(default=0, db_default=0)
    retried = models.BigIntegerField(default=0, db_default=0)
    revoked = models.BigIntegerField(default=0, db_default=0)
    #: Seconds: of all runs, and of the longest; and from published, or due, to begun, of calls that were
    #: seen in both places.
    run_seconds = models.FloatField(default=0.0, db_default=0.0)
    longest_run = models.FloatField(default=0.0, db_default=0.0)
    waited = models.BigIntegerField(default=0, db_default=0)
    wait_seconds = models.FloatField(default=0.0, db_default=0.0)
    longest_wait = models.FloatField(default=0.0, db_default=0.0)
    last_published = models.DateTimeField(null=True, blank=True)
    last_began = models.DateTimeField(null=True, blank=True)
    last_failed = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="", db_default="")
    #: Days without a gap on which it ran, up to the last, as a number of days since 1970.
    streak = models.IntegerField(default=0, db_default=0)
    last_day = models.IntegerField(default=0, db_default=0)
    #: What its calls use that adoption treats in another way, with spaces between: ``link chord``.
    uses = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)
        verbose_name = "watched Celery task"

    def __str__(self) -> str:
        return self.name


class WatchedCall(models.Model):
    """One message of a task: a call, or a retry of it. Kept for some days, and no more than so many."""

    #: The task's id, and after a colon the number of the retry.
    key = models.CharField(max_length=270, unique=True)
    task = models.CharField(max_length=255, blank=True, default="", db_default="")
    seen_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    #: Its ``eta``, where it has one.
    due_at = models.DateTimeField(null=True, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)
    #: How often it began.
    runs = models.IntegerField(default=0, db_default=0)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: Celery's state at the end: ``SUCCESS``, ``FAILURE``, ``RETRY``, ``REVOKED``, …
    outcome = models.CharField(max_length=20, blank=True, default="", db_default="")
    worker = models.CharField(max_length=255, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name = "watched Celery call"
        indexes = [models.Index(fields=["task"], name="furrow_watchedcall_task")]

    def __str__(self) -> str:
        return self.key
