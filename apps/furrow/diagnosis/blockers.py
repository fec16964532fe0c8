"""The limit that blocks a job: its key, who has its slots, how many jobs wait before it."""

import datetime as dt
import json
import uuid
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from furrow.limits.limit import FAIR_GATE, Limit
from furrow.limits.stored import legible
from furrow.models import Hold, Job
from furrow.states import FINAL, State

#: Jobs that wait before one are counted up to here, and so many holders are named.
COUNTED, NAMED = 1_000, 5


@dataclass(frozen=True)
class Holder:
    """A job that has a slot, or whose turn is before."""

    id: uuid.UUID
    kind: str
    state: str
    since: dt.datetime | None  #: when it began; ``None``: it has not


@dataclass(frozen=True)
class Blocker:
    """Why a job is held."""

    limit: Limit
    taken: int  #: slots
    holders: tuple[Holder, ...]  #: some of those who have them, the longest first
    ahead: int  #: jobs that wait for the same and come before; at most ``COUNTED``
    free_at: dt.datetime | None = None  #: of a rate: when the next may start

    @property
    def name(self) -> str:
        """The key, as people wrote it."""
        return self.limit.key.split(":", 1)[-1]


def blocker(job: Job) -> Blocker | None:
    """What this pending job waits for; ``None`` when no key holds it."""
    if job.state != State.PENDING or not job.held:
        return None
    if job.held == FAIR_GATE:
        mates = Job.objects.filter(state=State.PENDING, held=FAIR_GATE, queue=job.queue, fair_key=job.fair_key)
        return Blocker(Limit(f"{FAIR_GATE}:{job.fair_key}"), 0, (), _ahead(mates, job))
    limit = next((limit for limit in legible(json.dumps(job.limits)) if limit.key == job.held), Limit(job.held))
    if limit.ordered:
        before = Job.objects.filter(order_key=limit.key, pk__lt=job.pk, state__in=set(State) - FINAL).order_by("pk")
        return Blocker(limit, 1, _holders(list(before[:1])), len(before.values_list("pk")[:COUNTED]))
    holds = list(Hold.objects.filter(key=limit.key).order_by("free_at", "slot").values_list("job", "free_at")[:COUNTED])
    free_at = min((moment for _, moment in holds if moment is not None), default=None)
    jobs = Job.objects.filter(pk__in=[id for id, _ in holds if id is not None]).order_by("started_at", "pk")
    waiting = Job.objects.filter(state=State.PENDING, held=limit.key)
    return Blocker(limit, len(holds), _holders(list(jobs[:NAMED])), _ahead(waiting, job), free_at)


def _holders(jobs: list[Job]) -> tuple[Holder, ...]:
    return tuple(Holder(job.pk, job.kind, job.state, job.started_at if job.state == State.RUNNING else None) for job in jobs)


def _ahead(waiting: QuerySet[Job], job: Job) -> int:
    earlier = Q(run_at__lt=job.run_at) | Q(run_at=job.run_at, pk__lt=job.pk)
    before = waiting.filter(Q(priority__lt=job.priority) | Q(priority=job.priority) & earlier).order_by()
    return len(before.values_list("pk")[:COUNTED])
