"""Ends: settle the runs that a worker has ended, as their kind's retry policy says."""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from furrow import signals, statements
from furrow.conf import conf
from furrow.errors import LONGEST_SNOOZE, Abort, FurrowError, ResultError, Retry
from furrow.external.fence import Run, Stale, locked, sort_out
from furrow.external.masking import masks
from furrow.external.presence import count
from furrow.fingerprint import fingerprint
from furrow.kinds.external import ExternalKind
from furrow.kinds.kind import get_kind
from furrow.kinds.retry import next_delay
from furrow.locks.wakeup import wake
from furrow.models import Attempt, Job, Worker
from furrow.models.database import connection
from furrow.sanitize import clean, cut
from furrow.statements import Settlement
from furrow.states import UNWELL, Outcome, State

#: The outcomes that a worker may tell; the others are found out about it.
TOLD = (
    Outcome.SUCCEEDED,
    Outcome.FAILED,
    Outcome.TIMED_OUT,
    Outcome.CANCELLED,
    Outcome.INTERRUPTED,
    Outcome.SNOOZED,
)


class ExternalError(FurrowError):
    """The external worker said that its run failed."""


class RowsLocked(FurrowError):
    """Another transaction has locked the rows of some jobs, whose runs are in ``runs``; nothing of these was recorded."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        super().__init__(f"the row of job {runs[0].id} is locked by another transaction")


@dataclass(frozen=True, kw_only=True)
class End:
    """How a run ended, as its worker tells it."""

    run: Run
    outcome: Outcome = Outcome.SUCCEEDED
    result: Any = None  #: a JSON value, of a run that succeeded
    error: str = ""
    error_type: str = ""
    traceback: str = ""
    retryable: bool = True  #: another attempt may mend it
    retry_in: float | None = None  #: seconds until the next attempt; ``None``: as the kind's policy says


class Settled(NamedTuple):
    """What became of it: the job's state after the run, and what was wrong with its result."""

    run: Run
    state: State
    error: str


def finish(ends: Sequence[End], kinds: Collection[str]) -> tuple[list[Settled], list[Stale]]:
    """Settle these runs, each once: the same end told again is answered as it was. Returns what became of them, and the runs
    that are over otherwise, of which nothing was recorded.

    Raises:
        RowsLocked: rows of some are locked; all others were recorded, and all may be told again.
    """
    given = {end.run: end for end in ends}
    found = sort_out(given, kinds)
    in_the_way = locked(found.current)
    for run in in_the_way:
        del found.current[run]
    pids = dict(Worker.objects.filter(pk__in={job.worker for job in found.current.values()}).values_list("pk", "pid"))
    settlements = {run: _settlement(given[run], job, pids.get(job.worker or run.id)) for run, job in found.current.items()}
    done = _settle(list(settlements.values()))
    won = [run for run in settlements if str(run.id) in done]
    _count(found.current, {run: settlements[run] for run in won})
    # Another may have settled some in between, and what was told before is no mistake.
    late = [*(stale.run for stale in found.stale), *(run for run in settlements if run not in won)]
    again = _told_before([given[run] for run in late])
    states = dict(Job.objects.filter(pk__in={run.id for run in [*won, *again]}).values_list("pk", "state"))
    settled = [Settled(run, State(states.get(run.id, settlements[run].state)), settlements[run].error) for run in won]
    settled += [Settled(run, State(states[run.id]), error) for run, error in again.items() if run.id in states]
    if in_the_way:
        raise RowsLocked(in_the_way)
    told = {one.run for one in settled}
    return settled, sort_out([run for run in late if run not in told], kinds).stale


def _settle(settlements: list[Settlement]) -> set[str]:
    if not settlements:
        return set()
    done: set[str] = statements.on(connection).settle(connection, settlements)
    signals.runs_settled((end.id, end.attempt) for end in settlements if end.id in done)
    return done


def _count(jobs: dict[Run, Job], settled: dict[Run, Settlement]) -> None:
    """Count them as their workers', and wake the dispatcher for those whose slots are free now."""
    ended, unwell = Counter[uuid.UUID](), Counter[uuid.UUID]()
    for run, end in settled.items():
        if worker := jobs[run].worker:
            ended[worker] += 1
            unwell[worker] += end.outcome in UNWELL
    for worker in ended:
        count(worker, ended[worker], unwell[worker])
    if any(jobs[run].limits for run in settled):
        wake()


def _told_before(ends: Sequence[End]) -> dict[Run, str]:
    """Of these runs those that ended as told, by the record, with their errors."""
    attempts = Attempt.objects.filter(job__in={end.run.id for end in ends}).values_list("job", "number", "outcome", "error")
    recorded = {Run(job, number): (outcome, error) for job, number, outcome, error in attempts}
    return {end.run: recorded[end.run][1] for end in ends if recorded.get(end.run, ("", ""))[0] == end.outcome}


def _settlement(end: End, job: Job, pid: int | None) -> Settlement:
    kind = get_kind(job.kind)
    assert isinstance(kind, ExternalKind)
    base = Settlement(str(job.pk), job.attempt, State.SUCCEEDED, end.outcome, pid or 1)
    reason = cut(clean(masks(job).text(end.error)), 2_000)
    match end.outcome:
        case Outcome.SUCCEEDED:
            try:
                return base._replace(result=masks(job).json(kind.result_text(end.result)))
            except ResultError as error:
                return _failed(base, end, job, kind, "ResultError", str(error), error)
        case Outcome.CANCELLED:
            return base._replace(state=State.CANCELLED, error=reason or "cancelled by request")
        case Outcome.INTERRUPTED:
            return base._replace(state=State.PENDING, delay=end.retry_in, error=reason or "handed back by its worker")
        case Outcome.SNOOZED:
            seconds = min(end.retry_in or 0.0, LONGEST_SNOOZE)
            return base._replace(state=State.PENDING, delay=seconds, error=reason or f"snoozed for {seconds:g} s")
    asked = Retry(seconds=end.retry_in) if end.retry_in is not None else ExternalError()
    name = end.error_type or ("TimedOut" if end.outcome == Outcome.TIMED_OUT else "Error")
    return _failed(base, end, job, kind, name, end.error, asked if end.retryable else Abort())


def _failed(base: Settlement, end: End, job: Job, kind: ExternalKind, name: str, said: str, error: FurrowError) -> Settlement:
    hidden, name = masks(job), clean(" ".join(name.split()))[:200]
    text = cut(clean(hidden.text(" ".join(f"{name}: {said}".split()))), 2_000)
    story = cut(clean(hidden.text(end.traceback)), conf().max_traceback)
    delay = next_delay(kind.retry, job.counted_attempts, job.max_attempts, error)
    return base._replace(
        state=State.FAILED if delay is None else State.PENDING,
        outcome=Outcome.TIMED_OUT if end.outcome == Outcome.TIMED_OUT else Outcome.FAILED,
        delay=delay,
        error=text,
        error_type=name,
        traceback=story,
        fingerprint=fingerprint(name, text, story),
    )
