"""How the runs of a kind fared by the version of the code, since its canary began."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from furrow.models import Attempt, Canary, Job, Worker
from furrow.states import UNWELL

#: Jobs that are looked at, the newest; errors that are named.
JOBS, NAMED = 2_000, 3


@dataclass
class Fared:
    """The runs by workers of one version; empty: of workers that tell none, or are forgotten."""

    version: str
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def runs(self) -> int:
        """How many there were."""
        return self.outcomes.total()

    @property
    def unwell(self) -> float:
        """The share of them that did not end well."""
        return sum(self.outcomes[outcome] for outcome in UNWELL) / self.runs if self.runs else 0.0

    @property
    def middle(self) -> float:
        """The median of their seconds."""
        return median(self.seconds) if self.seconds else 0.0


def compare(canary: Canary) -> list[Fared]:
    """The canary's version first, then the others by their names. Runs that were handed back before they began do not count."""
    jobs = Job.objects.filter(kind=canary.kind).order_by("-pk").values("pk")[:JOBS]
    runs = Attempt.objects.filter(job__in=list(jobs.values_list("pk", flat=True)), started_at__gte=canary.started_at)
    rows = list(runs.exclude(pid=0).values_list("worker", "outcome", "error_type", "started_at", "finished_at"))
    versions = dict(Worker.objects.filter(pk__in={row[0] for row in rows}).values_list("pk", "code_version"))
    found = {canary.version: Fared(canary.version)}
    for worker, outcome, error_type, began, ended in rows:
        one = found.setdefault(of := versions.get(worker, "") if worker else "", Fared(of))
        one.outcomes[outcome] += 1
        one.seconds.append((ended - began).total_seconds())
        one.errors.update([error_type] if error_type else [])
    return [found.pop(canary.version), *sorted(found.values(), key=lambda one: one.version)]
