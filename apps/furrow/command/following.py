"""Follow a job's log until it ends, or a batch until all of its jobs have."""

import logging
import time
import uuid
from collections import Counter
from typing import Any

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError, close_old_connections
from django.db.models import Count
from django.utils import timezone
from rich.progress import BarColumn, Progress, TextColumn

from furrow.command.output import Output, write
from furrow.diagnosis.as_json import line_json
from furrow.diagnosis.explain import situation, why
from furrow.diagnosis.wording import relative
from furrow.models import Job, LogLine
from furrow.statements import clock
from furrow.states import FINAL, State

#: Seconds between two looks at the database, which has the last word and is all that the command needs; and until it is said
#: why a job does not begin.
INTERVAL, PATIENCE = 0.4, 3.0
#: Log lines in one look.
LINES = 1_000
#: How the command ends: the job did not succeed; it had not ended in time.
NOT_SUCCEEDED, NOT_ENDED = 3, 4


class Tail:
    """One job: its log lines as they come, why it waits, how it ends."""

    def __init__(self, output: Output, job_id: uuid.UUID, *, level: int = 0) -> None:
        self._output, self._id, self._level = output, job_id, level
        self._seen = 0
        self._said: str | None = None

    def run(self, *, follow: bool = True, timeout: float | None = None) -> Job:
        """Until it has ended, or ``timeout`` seconds have passed; without ``follow`` one look. Returns the job as it is then.

        Raises:
            CommandError: the job is not there (any more).
        """
        began = time.monotonic()
        while True:
            job = self._look(time.monotonic() - began)
            late = timeout is not None and time.monotonic() - began >= timeout
            if job is not None and (job.state in FINAL or not follow or late):
                while self._print_lines():
                    pass
                return job
            if late:
                raise CommandError("The database did not answer in time.", returncode=NOT_ENDED)
            time.sleep(INTERVAL)

    def _look(self, waited: float) -> Job | None:
        """The job and its new lines; ``None`` while the database is away."""
        try:
            job = Job.objects.filter(pk=self._id).first()
            if job is None:
                raise CommandError(f"There is no job {self._id}; jobs that ended long ago are deleted.")
            self._print_lines()
            if waited >= PATIENCE and job.state in (State.WAITING, State.PENDING, State.QUEUED):
                self._say_why(job)
        except (OperationalError, InterfaceError) as error:
            close_old_connections()
            self._say(f"The database is unreachable: {str(error).strip()}", what="away")
            return None
        return job

    def _print_lines(self) -> int:
        """New lines, oldest first; returns how many there were."""
        rows = LogLine.objects.filter(job=self._id, pk__gt=self._seen, level__gte=self._level).order_by("pk")
        lines = list(rows[:LINES])
        for line in lines:
            if self._output.as_json:
                self._output.json_line(line_json(line))
            else:
                local = timezone.localtime(line.at)
                name = logging.getLevelName(line.level)
                write(self._output.console, f"{local:%H:%M:%S}.{local.microsecond // 1000:03d} {name:<8} {line.message}")
            self._seen = line.pk
        return len(lines)

    def _say_why(self, job: Job) -> None:
        now = clock.now()
        if reason := why(job, situation(job, now), now):
            when = f" {relative(reason.when, now)}" if reason.when else ""
            self._say(f"{reason.text}{when}. {reason.remedy}".strip(), what=reason.text)

    def _say(self, text: str, *, what: str) -> None:
        """Once, until there is something else to say."""
        if what != self._said:
            self._said = what
            self._output.say(text)


def follow_batch(output: Output, batch: uuid.UUID, *, timeout: float | None = None) -> Counter[str]:
    """A bar until all jobs of the batch have ended, or ``timeout`` seconds have passed; returns how many are in each state."""
    began = time.monotonic()
    bar = Progress(BarColumn(bar_width=24), TextColumn("{task.description}"), console=output.remarks, transient=False)
    with bar:
        task = bar.add_task("", total=None)
        while True:
            counts = batch_counts(batch)
            total, ended = sum(counts.values()), sum(counts[state] for state in FINAL)
            bar.update(task, total=total, completed=ended, description=describe(counts))
            if ended == total or (timeout is not None and time.monotonic() - began >= timeout):
                return counts
            time.sleep(INTERVAL)


def batch_counts(batch: uuid.UUID) -> Counter[str]:
    """How many jobs of a batch are in each state."""
    rows: Any = Job.objects.filter(batch=batch).order_by().values_list("state").annotate(Count("pk"))
    return Counter(dict(rows))


def describe(counts: Counter[str]) -> str:
    """``120 of 500 ended: 118 succeeded, 2 failed``."""
    ended = sum(counts[state] for state in FINAL)
    parts = ", ".join(f"{counts[state]:,} {state.value}" for state in State if state in FINAL and counts[state])
    return f"{ended:,} of {sum(counts.values()):,} ended{': ' if parts else ''}{parts}"


def exit_code(counts: Counter[str]) -> int:
    """0 when all succeeded."""
    if any(counts[state] for state in State if state not in FINAL):
        return NOT_ENDED
    return NOT_SUCCEEDED if counts[State.FAILED] + counts[State.CANCELLED] else 0
