"""The job: one row with the request and its outcome."""

from __future__ import annotations

import datetime as dt
import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from furrow.limits.limit import FAIR_GATE
from furrow.models.json_field import JSONField
from furrow.models.users import user_field
from furrow.states import FINAL, State

#: Priorities run from the first to the last of these; the smaller number goes first.
HIGHEST_PRIORITY, DEFAULT_PRIORITY, LOWEST_PRIORITY = 0, 5, 9


class Job(models.Model):
    """A job: one row with the request and its outcome. Columns have defaults in the database, so any program that can
    INSERT can submit."""

    #: UUIDv7, sorted by time of creation; also the Celery task id and the AMQP message id.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=200)
    queue = models.CharField(max_length=100, db_default="default", default="default")
    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in State], db_default=State.PENDING, default=State.PENDING
    )
    priority = models.SmallIntegerField(db_default=DEFAULT_PRIORITY, default=DEFAULT_PRIORITY)
    #: The handler's arguments by name, as JSON.
    arguments = JSONField(shape=dict, default=dict, db_default={})
    #: An id that jobs share which belong together.
    batch = models.UUIDField(null=True, blank=True)
    #: Short texts to find the job by; null for most jobs.
    tags = JSONField(shape=list, null=True, blank=True)
    #: What travels with it besides its arguments (:mod:`furrow.kinds.meta`), as a tenant or a correlation id; none for most.
    meta = JSONField(shape=dict, null=True, blank=True)
    #: The job that this one repeats, perhaps with other arguments.
    again_of = models.UUIDField(null=True, blank=True)
    #: The node of a workflow that it belongs to (``Node.id``); null for most jobs. No foreign key, as for ``worker``.
    node = models.UUIDField(null=True, blank=True)

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    run_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    #: The number of the latest run, counted from 1: the fence that a settling write must match. Never goes back.
    attempt = models.IntegerField(db_default=0, default=0)
    #: Runs that do not count towards ``max_attempts`` (snoozed, interrupted).
    excused = models.IntegerField(db_default=0, default=0)
    max_attempts = models.IntegerField(db_default=5, default=5)
    #: The worker that claimed the job (``Worker.id``). No foreign key: the claim would pay for it.
    worker = models.UUIDField(null=True, blank=True)

    result = JSONField(null=True, blank=True)
    #: The last attempt's error on one line, or the reason why the job waits or was cancelled.
    error = models.TextField(blank=True, db_default="", default="")
    #: Groups errors that are alike (:mod:`furrow.fingerprint`). Of the latest run; empty unless it failed.
    fingerprint = models.CharField(max_length=16, blank=True, db_default="", default="", editable=False)
    #: The latest ``current_job.progress(…)``: from 0 to 1, with a note.
    progress = models.FloatField(null=True, blank=True)
    progress_note = models.CharField(max_length=200, blank=True, db_default="", default="")
    submitted_by = user_field()
    #: When a running job was cancelled; it has yet to stop.
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    #: The limits whose slots the job needs to run (:class:`furrow.limits.limit.Limit`), as JSON; null for most jobs.
    limits = JSONField(shape=list, null=True, blank=True)
    #: While pending: the key this job is blocked on; the dispatcher skips the job until a slot frees. While running: the key of
    #: a hand-over chain in which this job is not the first; its worker runs the chain one after the other.
    held = models.CharField(max_length=210, blank=True, db_default="", default="")
    #: Jobs that share it run in the order of their ids.
    order_key = models.CharField(max_length=210, null=True, blank=True)
    #: The tenant; the tenants of a queue take turns.
    fair_key = models.CharField(max_length=210, null=True, blank=True)
    #: A key that no other job can have until this one has started, is done, or until ``unique_expires_at``.
    unique_key = models.CharField(max_length=210, null=True, blank=True)
    unique_until = models.CharField(max_length=7, blank=True, db_default="", default="")
    unique_expires_at = models.DateTimeField(null=True, blank=True)

    #: Set by a ``unique`` submit that found this job instead of creating one.
    existed = False

    class Meta:
        ordering = ["-id"]
        permissions = [("submit_job", "Can submit jobs"), ("act_on_job", "Can cancel and retry jobs")]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in State]), name="furrow_job_state_known"),
            models.CheckConstraint(
                condition=Q(priority__gte=HIGHEST_PRIORITY, priority__lte=LOWEST_PRIORITY), name="furrow_job_priority_range"
            ),
            models.CheckConstraint(
                condition=Q(attempt__gte=0, excused__gte=0, max_attempts__gte=1), name="furrow_job_attempt_counts"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.RUNNING) | Q(worker__isnull=False, started_at__isnull=False),
                name="furrow_job_running_has_worker",
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(FINAL), finished_at__isnull=False)
                | (~Q(state__in=sorted(FINAL)) & Q(finished_at__isnull=True)),
                name="furrow_job_final_is_finished",
            ),
            models.UniqueConstraint(fields=["unique_key"], name="furrow_job_unique", condition=Q(unique_key__isnull=False)),
        ]
        indexes = [
            # The dispatcher's: due jobs of a queue, looked up per priority.
            models.Index(
                fields=["queue", "priority", "run_at", "id"],
                name="furrow_job_due",
                condition=Q(state=State.PENDING, limits__isnull=True),
            ),
            # The same for jobs with limits, but for those that wait for a key; those, by key; those that wait for their turn.
            models.Index(
                fields=["queue", "priority", "run_at", "id"],
                name="furrow_job_limited",
                condition=Q(state=State.PENDING, limits__isnull=False, held=""),
            ),
            models.Index(
                fields=["held", "priority", "run_at", "id"],
                name="furrow_job_held",
                condition=Q(state=State.PENDING) & ~Q(held=""),
            ),
            # Those that run, or will in a moment, in the line that a key was handed over to.
            models.Index(
                fields=["held", "priority", "run_at", "id"],
                name="furrow_job_line",
                condition=Q(state=State.RUNNING) & ~Q(held=""),
            ),
            models.Index(
                fields=["queue", "fair_key", "priority", "run_at", "id"],
                name="furrow_job_fair",
                condition=Q(state=State.PENDING, held=FAIR_GATE),
            ),
            models.Index(
                fields=["order_key", "id"],
                name="furrow_job_order",
                condition=Q(order_key__isnull=False, state__in=sorted(set(State) - FINAL)),
            ),
            # The window's and reconcile's: what RabbitMQ holds.
            models.Index(fields=["queue", "queued_at"], name="furrow_job_queued", condition=Q(state=State.QUEUED)),
            # Rescue's and the heartbeat's: what a worker runs; and what of it somebody asked to stop, looked for every second.
            models.Index(fields=["worker"], name="furrow_job_running", condition=Q(state=State.RUNNING)),
            models.Index(
                fields=["worker"],
                name="furrow_job_stopping",
                condition=Q(state=State.RUNNING, cancel_requested_at__isnull=False),
            ),
            models.Index(
                fields=["expires_at"],
                name="furrow_job_expiring",
                condition=Q(state__in=[State.PENDING, State.QUEUED], expires_at__isnull=False),
            ),
            # Prune's, and the admin's lists of what ended.
            models.Index(fields=["state", "finished_at"], name="furrow_job_finished", condition=Q(finished_at__isnull=False)),
            models.Index(fields=["batch", "state"], name="furrow_job_batch", condition=Q(batch__isnull=False)),
            models.Index(fields=["kind", "-id"], name="furrow_job_kind"),
            # The admin's: what did not go well, newest first; who submitted; what repeats a job. Tags': in the migration.
            models.Index(
                fields=["state", "-id"],
                name="furrow_job_unwell",
                condition=Q(state__in=[State.FAILED, State.CANCELLED, State.WAITING]),
            ),
            models.Index(fields=["submitted_by", "-id"], name="furrow_job_submitter", condition=Q(submitted_by__isnull=False)),
            models.Index(fields=["again_of"], name="furrow_job_again", condition=Q(again_of__isnull=False)),
            # A workflow's: the jobs of a node, in the order in which they were given.
            models.Index(fields=["node", "id"], name="furrow_job_node", condition=Q(node__isnull=False)),
            models.Index(fields=["node", "id"], name="furrow_job_let_go", condition=Q(state=State.WAITING, node__isnull=False)),
            # The errors page's: what failed alike.
            models.Index(fields=["fingerprint", "-id"], name="furrow_job_fingerprint", condition=Q(state=State.FAILED)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def counted_attempts(self) -> int:
        """Runs that count towards ``max_attempts``."""
        return self.attempt - self.excused

    @property
    def wait(self) -> dt.timedelta | None:
        """From when the job was due to when it last began; ``None`` before that."""
        return self.started_at - self.run_at if self.started_at else None


def new_id() -> uuid.UUID:
    """A fresh job id."""
    return uuid7()
