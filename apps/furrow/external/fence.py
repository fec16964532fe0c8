"""Fence: which of the runs that a worker names go on, and why the others are over."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from furrow import statements
from furrow.conf import conf
from furrow.models import Job
from furrow.models.database import connection
from furrow.states import State


class Run(NamedTuple):
    """One attempt of one job, as its worker names it."""

    id: uuid.UUID
    attempt: int


class Stale(NamedTuple):
    """A run that is over: nothing of it is recorded any more."""

    run: Run
    reason: str


class Sorted(NamedTuple):
    """Runs that go on, with their jobs; and the others."""

    current: dict[Run, Job]
    stale: list[Stale]


def sort_out(runs: Iterable[Run], kinds: Collection[str]) -> Sorted:
    """Tell them apart; jobs of other kinds than ``kinds`` are nobody's business here, as if they did not exist."""
    runs = list(dict.fromkeys(runs))
    known = Job.objects.filter(pk__in={run.id for run in runs}, kind__in=kinds, queue__in=conf().external_queues)
    jobs = known.defer("result").in_bulk()
    found = Sorted({}, [])
    for run in runs:
        job = jobs.get(run.id)
        if reason := _over(run, job):
            found.stale.append(Stale(run, reason))
        elif job is not None:
            found.current[run] = job
    return found


def locked(jobs: Mapping[Run, Job]) -> list[Run]:
    """Those of these runs whose job's row another transaction has locked: to write it would wait as long, and keep the others
    waiting."""
    if not jobs:
        return []
    ids = statements.on(connection).locked(connection, [run.id for run in jobs])
    return [run for run in jobs if str(run.id) in ids]


def _over(run: Run, job: Job | None) -> str:
    if job is None:
        return f"there is no job {run.id} of the kinds that this worker may take"
    if job.attempt != run.attempt:
        return f"attempt {run.attempt} of job {run.id} is over: the job has come to attempt {job.attempt}"
    if job.state != State.RUNNING:
        return f"attempt {run.attempt} of job {run.id} is over: the job is {job.state}"
    return ""
