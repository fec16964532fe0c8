"""Django signals of what became of jobs, sent after the commit that recorded it.

Best effort: a signal may be missed when a process dies between the commit and the signal, and is never sent before the commit.
What must happen is done by the handler, or by a job that is submitted in the same transaction.

Web and commands call receivers themselves. Worker and dispatcher have a process for that (:mod:`furrow.announcer`), so that
no receiver holds up a job. Where nobody listens, nothing is read and nothing is sent.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from furrow.kinds.kind import find_kind
from furrow.kinds.meta import from_stored
from furrow.models import Attempt, Job
from furrow.models.database import alias
from furrow.states import Outcome, State

#: ``sender`` is the kind, ``ids`` are the jobs of one ``submit()`` or ``submit_many()``.
job_submitted = Signal()
#: Of all others ``sender`` is the kind (``None`` where this process knows none of that name), ``job`` an :class:`Ended`.
job_succeeded = Signal()
job_failed = Signal()
job_cancelled = Signal()
#: It had not begun by its ``expires_at``; ``job_cancelled`` is not sent of it.
job_expired = Signal()
#: A run ended, and another follows; the outcome says why.
job_retried = Signal()

_OF_ENDS = (job_succeeded, job_failed, job_cancelled, job_expired, job_retried)
_BY_STATE = {State.SUCCEEDED: job_succeeded, State.FAILED: job_failed, State.CANCELLED: job_cancelled}


@dataclass(frozen=True)
class Ended:
    """What a receiver learns of a job."""

    id: uuid.UUID
    kind: str
    queue: str
    #: ``succeeded``, ``failed``, ``cancelled``; ``pending`` when it runs again.
    state: State
    #: The number of the run that ended; 0: it never began.
    attempt: int
    #: How that run ended.
    outcome: Outcome | None
    #: The error on one line, or the reason; empty for none.
    error: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


#: What is told: of runs that were settled the job's id and the attempt; of jobs that never began how they ended, and their ids.
News = tuple[str, Sequence[Any]]
RAN, EXPIRED = "ran", "expired"

_pass_on: Callable[[News], None] | None = None


def pass_on_to(call: Callable[[News], None] | None) -> None:
    """From now on this process tells another one what to send."""
    global _pass_on
    _pass_on = call


def listened_to() -> bool:
    """Whether anybody listens to how jobs end."""
    return any(signal.receivers for signal in _OF_ENDS)


def runs_settled(runs: Iterable[tuple[str, int]]) -> None:
    """These runs (job, attempt) were settled, and that is committed: perhaps by another, or not at all, which is looked up."""
    if listened_to():
        _tell((RAN, list(runs)))


def ended_unstarted(ids: Iterable[uuid.UUID], how: str) -> None:
    """These jobs ended without a run: ``how`` is a state, or ``EXPIRED``. In the transaction that does it."""
    if listened_to():
        news = (str(how), [str(id) for id in ids])
        transaction.on_commit(partial(_tell, news), using=alias(), robust=True)


def submitted(kind: str, ids: Sequence[uuid.UUID]) -> None:
    """These jobs were submitted, in the current transaction."""
    if job_submitted.receivers and ids:
        send = partial(job_submitted.send_robust, find_kind(kind), ids=list(ids))
        transaction.on_commit(send, using=alias(), robust=True)


def _tell(news: News) -> None:
    (_pass_on or deliver)(news)


def deliver(news: News) -> None:
    """Look up what became of these jobs, and send it.

    Raises:
        Error: the database is away.
    """
    how, told = news
    if how == RAN:
        _deliver_runs({(uuid.UUID(id), attempt) for id, attempt in told})
        return
    for job in _jobs(map(uuid.UUID, told)).values():
        signal = job_expired if how == EXPIRED else _BY_STATE[State(how)]
        _send(signal, job, State.CANCELLED if how == EXPIRED else State(how), 0, None, job.error)


def _deliver_runs(runs: set[tuple[uuid.UUID, int]]) -> None:
    """In the order in which they ended. A run that another settled has another outcome there, and that is told."""
    jobs = _jobs(id for id, _ in runs)
    for attempt in Attempt.objects.filter(job__in=jobs).order_by("finished_at", "pk").defer("traceback"):
        job = jobs[attempt.job_id]
        if (job.pk, attempt.number) not in runs:
            continue
        state, outcome = State.PENDING, Outcome(attempt.outcome)
        if outcome == Outcome.SUCCEEDED:
            state = State.SUCCEEDED
        elif job.attempt == attempt.number and job.state in (State.FAILED, State.CANCELLED):
            state = State(job.state)
        _send(_BY_STATE.get(state, job_retried), job, state, attempt.number, outcome, attempt.error)


def _jobs(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Job]:
    return Job.objects.only("kind", "queue", "state", "attempt", "error", "meta").in_bulk({*ids})


def _send(signal: Signal, job: Job, state: State, attempt: int, outcome: Outcome | None, error: str) -> None:
    if signal.receivers:
        ended = Ended(job.pk, job.kind, job.queue, state, attempt, outcome, error, from_stored(job.meta))
        signal.send_robust(find_kind(job.kind), job=ended)
