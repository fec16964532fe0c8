"""Schedules, and what became of each of their times."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from furrow.models.json_field import JSONField
from furrow.models.users import user_field
from furrow.schedule import CatchUp, Overlap


class Schedule(models.Model):
    """When jobs of a kind are submitted: declared in code (:class:`furrow.Schedule`), or made by a person. The leader looks at
    those whose ``fire_at`` has come."""

    class Source(models.TextChoices):
        """Who made it, and so who changes it."""

        CODE = "code", "code"
        ADMIN = "admin", "people"

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=200)
    arguments = JSONField(shape=dict, default=dict, db_default={}, blank=True)
    #: What :mod:`furrow.recurrence` reads.
    timing = models.CharField(max_length=200)
    timezone = models.CharField(max_length=64, default="UTC", db_default="UTC")
    #: Of the submit: queue, priority, max_attempts, expires, tags, meta.
    options = JSONField(shape=dict, default=dict, db_default={}, blank=True)
    catch_up = models.CharField(
        max_length=4, choices=[(c.value, c.value) for c in CatchUp], default=CatchUp.ONE.value, db_default=CatchUp.ONE.value
    )
    #: Seconds within which missed times are caught up.
    catch_up_window = models.FloatField(default=86_400.0, db_default=86_400.0)
    overlap = models.CharField(
        max_length=6, choices=[(o.value, o.value) for o in Overlap], default=Overlap.ALLOW.value, db_default=Overlap.ALLOW.value
    )
    #: Seconds; its own part of them is always the same.
    jitter = models.FloatField(default=0.0, db_default=0.0)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    source = models.CharField(max_length=5, choices=Source, default=Source.ADMIN, db_default=Source.ADMIN, editable=False)
    #: Since when the code does not declare it any more.
    orphaned_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)
    reason = models.CharField(max_length=500, blank=True, default="", db_default="", editable=False)
    #: Why it cannot submit; its times are kept until it can.
    held = models.CharField(max_length=500, blank=True, default="", db_default="", editable=False)
    #: The next time, or the first one that nothing became of yet; null when there is none.
    next_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When the dispatcher looks at it: that time and its jitter. Null while it is paused, orphaned or held, and at its end.
    fire_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: The latest time that something became of, and the latest job.
    last_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_job = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    changed_at = models.DateTimeField(db_default=Now(), editable=False)
    #: When the process began whose code last declared it, or orphaned it.
    declared_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: In whose name its jobs are submitted: the person who last wrote it.
    submitted_by = user_field()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(catch_up_window__gte=0, jitter__gte=0), name="furrow_schedule_spans"),
            models.CheckConstraint(condition=Q(catch_up__in=[c.value for c in CatchUp]), name="furrow_schedule_catch_up"),
            models.CheckConstraint(condition=Q(overlap__in=[o.value for o in Overlap]), name="furrow_schedule_overlap"),
        ]
        indexes = [
            models.Index(fields=["fire_at", "id"], name="furrow_schedule_due", condition=Q(fire_at__isnull=False)),
            models.Index(fields=["kind"], name="furrow_schedule_kind"),
        ]

    def __str__(self) -> str:
        return self.name


class Tick(models.Model):
    """One time of a schedule and what became of it. The key of both is unique: so no time has two jobs, whoever is killed, and
    whoever believes to lead."""

    class Outcome(models.TextChoices):
        """What became of it."""

        FIRED = "fired", "fired"
        SKIPPED = "skipped", "skipped"
        MISSED = "missed", "missed"

    class Origin(models.TextChoices):
        """Why it was looked at."""

        TIME = "time", "its time had come"
        CATCH_UP = "catch-up", "caught up"
        BACKFILL = "backfill", "backfilled"
        RUN_NOW = "run now", "run now"

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, db_constraint=False, related_name="ticks", db_index=False)
    due_at = models.DateTimeField()
    fired_at = models.DateTimeField(db_default=Now(), editable=False)
    #: The job; that of a unique kind may be an earlier one. No foreign key: jobs are deleted before.
    job = models.UUIDField(null=True, blank=True)
    outcome = models.CharField(max_length=7, choices=Outcome, default=Outcome.FIRED, db_default=Outcome.FIRED)
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.TIME, db_default=Origin.TIME)
    #: Earlier times that were missed, and that this one stands for; counted up to :data:`furrow.schedules.plan.COUNTED`.
    missed = models.IntegerField(default=0, db_default=0)
    #: Why it has no job.
    note = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["schedule", "due_at"], name="furrow_tick_once")]
        indexes = [
            models.Index(fields=["job"], name="furrow_tick_job", condition=Q(job__isnull=False)),
            models.Index(fields=["fired_at"], name="furrow_tick_fired"),
        ]

    def __str__(self) -> str:
        return f"tick {self.pk} of schedule {self.schedule_id}"
