"""Counts of events: small tables, so that no page has to count jobs.

Written in the transaction that settles (:mod:`furrow.statements.rollups` says how), read by the dashboard and the metrics.
"""

from django.db import models
from django.db.models.functions import Now


class _Span(models.Model):
    """What was counted within a span of time, of one kind."""

    #: When the span begins, in seconds since the epoch, and its length: 5 at first, later rolled into 60, 600, 3600.
    at = models.BigIntegerField()
    seconds = models.IntegerField()
    kind = models.CharField(max_length=200)
    #: The database session that wrote it, so that no two transactions ever wait for each other here; 0 when rolled.
    writer = models.IntegerField()

    class Meta:
        abstract = True
        default_permissions = ()


class Rollup(_Span):
    """Of one span of time, one kind, queue and worker: how many runs ended so, and how long they took.

    A measure is what became of the job (``succeeded``, ``failed``, ``cancelled``; ``retried``: the run failed and there will be
    another; ``excused``: snoozed or interrupted), with the time that the run took; or ``wait``, from due to begun, of runs
    that ended their jobs. ``bucket`` is the number of bounds (``statements.rollups.BOUNDS``) that the time reached, -1 when it
    has none.
    """

    pk = models.CompositePrimaryKey("at", "seconds", "kind", "queue", "worker", "writer", "measure", "bucket")
    queue = models.CharField(max_length=100)
    #: The worker that ran them; the zero UUID when none did, and in spans of 600 seconds and more.
    worker = models.UUIDField()
    measure = models.CharField(max_length=10)
    bucket = models.SmallIntegerField()
    count = models.BigIntegerField()
    #: The sum of the times, in seconds.
    total = models.FloatField()

    def __str__(self) -> str:
        return f"{self.count} {self.measure} of {self.kind} from {self.at} for {self.seconds} s"


class ErrorGroup(models.Model):
    """Runs of a kind that failed alike: the same :func:`fingerprint <furrow.fingerprint.sign>`."""

    pk = models.CompositePrimaryKey("kind", "fingerprint")
    kind = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=16)
    error_type = models.CharField(max_length=200)
    #: The first one's error, on one line.
    message = models.CharField(max_length=500)
    first_seen = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.message[:80]}"


class ErrorCount(_Span):
    """How often the errors of a group happened within a span of time."""

    pk = models.CompositePrimaryKey("at", "seconds", "kind", "fingerprint", "writer")
    fingerprint = models.CharField(max_length=16)
    #: Runs that failed so, and jobs that ended with it.
    runs = models.BigIntegerField()
    jobs = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.runs} runs of {self.kind} from {self.at} for {self.seconds} s"
