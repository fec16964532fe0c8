"""Watch a census from outside: where it stands, how fast it goes, why it does not go on, how it went."""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections
from django.db.models import Count
from django.utils import timezone
from furrow import FINAL, Job, Situation, State, situation
from furrow.plural import counted

from tasks.census import measure, report

#: Seconds without a job ending after which it is asked why.
STILL = 3.0
#: Without a cause that we can name, a census is given up after this many times the patience.
LENIENCE = 5


class Stalled(Exception):
    """No job of the census ended for long; the text says why, as far as the database tells."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a census stands. ``states`` counts its measuring jobs."""

    states: dict[str, int]
    report: str

    @property
    def files(self) -> int:
        """Measuring jobs."""
        return sum(self.states.values())

    @property
    def ended(self) -> int:
        """Measuring jobs that ended, well or badly."""
        return sum(self.states.get(state, 0) for state in FINAL)

    def count(self, state: State) -> int:
        """Measuring jobs in this state."""
        return self.states.get(state, 0)


def standing(batch: uuid.UUID) -> Standing:
    """Read where a census stands."""
    counts = Job.objects.filter(batch=batch).order_by().values_list("kind", "state").annotate(count=Count("pk"))
    states: dict[str, int] = {}
    state = ""
    for kind, its_state, count in counts:
        if kind == report.name:
            state = its_state
        elif kind == measure.name:
            states[its_state] = count
    return Standing(states, state)


@dataclass(slots=True)
class Pace:
    """Jobs per second over the last ``window`` seconds."""

    window: float = 10.0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def rate(self, now: float, ended: int) -> float:
        """Note how many had ended at ``now`` (seconds on any steady clock); returns the pace."""
        self._seen.append((now, ended))
        while now - self._seen[0][0] > self.window and len(self._seen) > 2:
            self._seen.popleft()
        first, before = self._seen[0]
        return (ended - before) / (now - first) if now > first else 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a census: where it stands, jobs per second, and what is in its way (empty: nothing known)."""

    standing: Standing
    rate: float
    trouble: tuple[str, ...] = ()


def follow(
    batch: uuid.UUID,
    *,
    patience: float,
    interval: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Look]:
    """Look again and again until the report has ended.

    Raises:
        Stalled: for ``patience`` seconds nothing ended and there is a cause, or for :data:`LENIENCE` times as long without one.
    """
    pace, last, moved = Pace(), None, clock()
    seen = Standing({}, "")
    while True:
        now = clock()
        still = now - moved
        try:
            seen, causes = standing(batch), troubles(batch) if still >= min(STILL, patience) else []
        except (OperationalError, InterfaceError) as error:
            close_old_connections()
            causes = [f"The database is away: {str(error).strip()}"]
        if (seen.ended, seen.report in FINAL) != last:
            last, moved, still, causes = (seen.ended, seen.report in FINAL), now, 0.0, []
        yield Look(seen, pace.rate(now, seen.ended), tuple(causes))
        if seen.report in FINAL:
            return
        if still >= patience * (1 if causes else LENIENCE):
            raise Stalled(f"No job of this census ended for {still:.0f} s. " + (" ".join(causes) or _no_cause()))
        sleep(interval)


def troubles(batch: uuid.UUID) -> list[str]:
    """What keeps the jobs of a batch from running, in sentences with a remedy; empty when nothing is known to."""
    job = Job.objects.filter(batch=batch).exclude(state__in=FINAL).order_by("priority", "pk").first()
    return obstacles(job, situation(job, timezone.now())) if job else []


def obstacles(job: Job, around: Situation) -> list[str]:
    """What :func:`furrow.situation` says, as far as it is an obstacle."""
    found = []
    if not around.dispatcher_leads:
        found.append("No dispatcher leads: start one with `manage.py furrow dispatcher`.")
    if around.dispatcher_trouble:
        found.append(f"The dispatcher says: {around.dispatcher_trouble}.")
    if not around.consumers:
        found.append(f"No living worker consumes the queue {job.queue!r}: start one with `celery -A config worker`.")
    elif not around.knowing:
        found.append(f"No living worker of the queue {job.queue!r} knows {job.kind}: restart the workers with today's code.")
    return found


def _no_cause() -> str:
    try:
        ahead = Job.objects.exclude(state__in=FINAL).count()
    except DatabaseError:
        return "The database does not answer."
    return (
        f"A dispatcher leads and a worker lives; of all kinds {counted(ahead, 'job')} wait or run. "
        "See in the admin what runs, and in the worker's log what it does."
    )


def timing(batch: uuid.UUID) -> dict[str, Any]:
    """How a census that ended went: ``jobs`` (the report not counted), ``seconds`` from the submit to the last file,
    ``jobs_per_second``, and from due to begun, in milliseconds, ``wait_p50_ms`` and ``wait_p99_ms``."""
    rows = list(
        Job.objects.filter(batch=batch, kind=measure.name).values_list("created_at", "run_at", "started_at", "finished_at")
    )
    waits = sorted((started - due).total_seconds() * 1000 for _, due, started, _ in rows if started)
    ends = [ended for _, _, _, ended in rows if ended]
    seconds = (max(ends) - min(created for created, _, _, _ in rows)).total_seconds() if ends else 0.0
    return {
        "jobs": len(rows),
        "seconds": round(seconds, 3),
        "jobs_per_second": round(len(rows) / seconds, 1) if seconds > 0 else None,
        "wait_p50_ms": percentile(waits, 50),
        "wait_p99_ms": percentile(waits, 99),
    }


def percentile(ordered: list[float], percent: float) -> float | None:
    """The nearest-rank percentile of values in order; ``None`` of none."""
    if not ordered:
        return None
    rank = max(1, -(-len(ordered) * percent // 100))
    return round(ordered[int(rank) - 1], 1)
