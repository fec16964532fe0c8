"""Steps: what a handler has done, kept for its later runs."""

from enum import StrEnum

from django.db import models

from furrow.models.job import Job

#: In ``awaits`` of a function that was called while another step of its job was under way.
BESIDE = "*"
#: In ``awaits`` of a sleep for a span, not until a time: it keeps its length when the database's clock is set back.
SPAN = "furrow.span"


class Sort(StrEnum):
    """What a step is."""

    #: A function that was called; its result is kept.
    STEP = "step"
    #: A time until which the job does not run.
    SLEEP = "sleep"
    #: A signal that the job waits for; the payload is the result.
    SIGNAL = "signal"
    #: Jobs that it submitted, and for which it waits.
    CALL = "call"


class Step(models.Model):
    """A step of a job (``current_job.step``, ``sleep``, ``wait_signal``). A function's row is written when it has returned, in
    one guarded transaction; the row of a wait when it begins, and again when it is over."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps", db_constraint=False, db_index=False)
    name = models.CharField(max_length=200)
    sort = models.CharField(max_length=8, choices=[(s.value, s.value) for s in Sort])
    #: The how many-th step it was, from 1, in the latest run that met it.
    position = models.IntegerField()
    #: The run that recorded it, and the run that went on behind it: the same one unless it waited in between.
    attempt = models.IntegerField()
    passed_in = models.IntegerField(null=True, blank=True)
    #: ``FURROW["VERSION"]`` of the run that recorded it.
    version = models.CharField(max_length=100, blank=True, default="", db_default="")
    #: The name of the signal that it waits for; of a call the id of its workflow, without dashes.
    awaits = models.CharField(max_length=200, blank=True, default="", db_default="")
    #: JSON text; null while it waits, of a sleep, and of a wait for a signal that did not come in time or jobs that failed.
    result = models.TextField(null=True, blank=True)
    #: What is strange about it: a later run met it elsewhere, or not at all; the jobs that it called failed.
    note = models.CharField(max_length=300, blank=True, default="", db_default="")
    started_at = models.DateTimeField()
    #: When a sleep, or the patience of a wait, ends.
    until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["job", "position", "id"]
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="furrow_step_job_name")]
        indexes = [
            models.Index(fields=["awaits"], name="furrow_step_call", condition=models.Q(sort="call", finished_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"step {self.name} of {self.job_id}"

    @property
    def timed_out(self) -> bool:
        """It waited for a signal, which did not come in time."""
        return self.sort == Sort.SIGNAL and self.finished_at is not None and self.result is None

    @property
    def seconds(self) -> float | None:
        """From when it began to when it was over."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()
