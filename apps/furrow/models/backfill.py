"""Backfills: one job for each row of a queryset, or for each so many rows, in the order of their keys."""

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from furrow.models.json_field import JSONField
from furrow.models.users import user_field

#: Jobs of one that have not ended, at most, where its declaration says nothing.
AHEAD = 1_000
#: Jobs of one that may fail before it stops, where its declaration says nothing.
MAX_FAILURES = 100.0


class BackfillState(StrEnum):
    """Where a backfill stands."""

    #: The leading dispatcher adds jobs, or waits for the last ones to end.
    RUNNING = "running"
    #: A person holds it up; what it has submitted goes on.
    PAUSED = "paused"
    #: Too many of its jobs failed; a person lets it go on, or cancels it.
    STOPPED = "stopped"
    #: Every row had its job, and all of these have ended.
    ENDED = "ended"
    #: A person ended it, with those of its jobs that had not.
    CANCELLED = "cancelled"


#: It has not ended, and no second one of the same rows may begin.
OPEN = frozenset({BackfillState.RUNNING, BackfillState.PAUSED, BackfillState.STOPPED})


class Backfill(models.Model):
    """One run of a backfill. The leading dispatcher moves ``reached`` in the transaction that adds the jobs of the rows up to
    there. Its jobs have its id as their ``batch``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    #: Of its declaration (:func:`furrow.backfill`); of one that was started with a queryset the label of its model.
    name = models.CharField(max_length=200)
    #: The arguments of the declaration, by name.
    parameters = JSONField(shape=dict, default=dict, db_default={}, blank=True)
    #: The rows, where no declaration names them: :mod:`furrow.backfills.queries`.
    query = JSONField(shape=dict, null=True, blank=True)
    kind = models.CharField(max_length=200)
    #: The argument that is given the key of a row, or a list of keys; the other arguments, by name.
    argument = models.CharField(max_length=200)
    arguments = JSONField(shape=dict, default=dict, db_default={}, blank=True)
    #: Of the submit: queue, priority.
    options = JSONField(shape=dict, default=dict, db_default={}, blank=True)
    #: Rows of one job, as a list of keys; null: one, as its key.
    batch = models.IntegerField(null=True, blank=True)
    #: Jobs that are added in a time, as "100/s"; empty: as fast as they run.
    rate = models.CharField(max_length=40, blank=True, default="", db_default="")
    #: Jobs of it that have not ended, at most.
    ahead = models.IntegerField(default=AHEAD, db_default=AHEAD)
    #: It stops when more of its jobs than this failed; between 0 and 1: than this share of those that ended. Null: never.
    max_failures = models.FloatField(null=True, blank=True, default=MAX_FAILURES)

    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in BackfillState],
        default=BackfillState.RUNNING.value,
        db_default=BackfillState.RUNNING.value,
    )
    #: Why it is paused, stopped or cancelled.
    reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    #: Why it runs and adds nothing; it is tried again.
    held = models.CharField(max_length=500, blank=True, default="", db_default="")
    #: Of the rows, what says whether two backfills are of the same ones.
    identity = models.CharField(max_length=64)

    #: Keys: the first and the last row when it began, and the last one that has a job.
    first = JSONField(null=True, blank=True)
    last = JSONField(null=True, blank=True)
    reached = JSONField(null=True, blank=True)
    #: Rows when it began; null where they are more than are counted.
    total = models.BigIntegerField(null=True, blank=True)
    #: Rows that have a job, and jobs that were made of them; of a unique kind some of these were there before.
    rows = models.BigIntegerField(default=0, db_default=0)
    made = models.BigIntegerField(default=0, db_default=0)
    existed = models.BigIntegerField(default=0, db_default=0)
    #: Jobs that had failed when it was looked at last; those of them that a person has taken note of by letting it go on.
    failed = models.BigIntegerField(default=0, db_default=0)
    forgiven = models.BigIntegerField(default=0, db_default=0)

    submitted_by = user_field()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    #: When it began or went on, and how many rows had a job then: what its speed is told by.
    resumed_at = models.DateTimeField(db_default=Now())
    resumed_rows = models.BigIntegerField(default=0, db_default=0)
    #: When the dispatcher looks at it; null while it does not run.
    next_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    #: When the last row had its job.
    exhausted_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in BackfillState]), name="furrow_backfill_state_known"),
            models.CheckConstraint(condition=Q(ahead__gte=1) & (Q(batch=None) | Q(batch__gte=1)), name="furrow_backfill_sizes"),
            models.UniqueConstraint(
                fields=["identity"], name="furrow_backfill_once", condition=Q(state__in=sorted(s.value for s in OPEN))
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="furrow_backfill_due", condition=Q(next_at__isnull=False)),
            models.Index(fields=["finished_at"], name="furrow_backfill_finished", condition=Q(finished_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"
