"""Workers in other languages: claim, heartbeat, log, progress, finish, leave. docs/other_languages.md is the protocol."""

import time
from collections.abc import Iterable
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router

from furrow.actions import permissions
from furrow.api import waiting
from furrow.api.auth import Caller, caller, needs
from furrow.api.work_shapes import (
    Claim,
    Claimed,
    Finished,
    Finishes,
    Heartbeat,
    Left,
    Lines,
    Pulse,
    Recorded,
    Steps,
    Worker,
)
from furrow.conf import conf
from furrow.errors import did_you_mean
from furrow.external import presence
from furrow.external.claims import Assignment, claim, external_kinds
from furrow.external.ends import End, RowsLocked, finish
from furrow.external.fence import Run, Stale
from furrow.external.heartbeats import beat
from furrow.external.presence import Introduction
from furrow.external.reports import Line, Step, log, progress
from furrow.models.api_token import Scope
from furrow.states import Outcome
from furrow.web.problems import Refused

router = Router(auth=needs(Scope.WORK), tags=["work"])

#: A worker that waits for work has its lease renewed so many times in its length.
RENEWALS = 3
#: Seconds after which a worker may tell again what ended while its row was locked.
LOCKED = 2.0
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


@router.post("/work/claim", response=Claimed, operation_id="claim_work")
def claim_work(request: HttpRequest, given: Claim) -> Any:
    """Take due jobs of external kinds, at most ``limit``; with ``wait``, wait so many seconds for the first. The answer has
    the worker's id, which may be a new one: use it from then on."""
    kinds = _asked(caller(request), given.kinds)
    who = Introduction(given.name, kinds, conf().external_queues, given.host, given.pid, given.version, given.processes)
    worker, renew_at = given.worker, 0.0

    def look() -> tuple[list[Assignment], bool]:
        nonlocal worker, renew_at
        if worker is None or time.monotonic() >= renew_at:
            worker, renew_at = presence.come(worker, who), time.monotonic() + conf().worker_lease / RENEWALS
        jobs = claim(worker, kinds, given.limit)
        return jobs, bool(jobs)

    try:
        jobs = waiting.until(look, given.wait)
    except Refused:
        if worker is not None and worker != given.worker:
            presence.forget(worker)  # it does not learn of this id
        raise
    return {"worker": worker, "lease": conf().worker_lease, "jobs": [job._asdict() for job in jobs]}


@router.post("/work/heartbeat", response=Pulse, operation_id="heartbeat")
def heartbeat(request: HttpRequest, given: Heartbeat) -> Any:
    """Keep the lease, and learn which runs to stop. Name every run until its end was answered."""
    runs = None if given.runs is None else [Run(run.id, run.attempt) for run in given.runs]
    pulse = beat(given.worker, runs, _permitted(caller(request)))
    return {
        "lives": pulse.lives,
        "lease": conf().worker_lease,
        "cancelled": [run._asdict() for run in pulse.cancelled],
        "lost": [run._asdict() for run in pulse.lost],
        "stop": pulse.stop,
    }


@router.post("/work/log", response=Recorded, operation_id="log_work")
def log_work(request: HttpRequest, given: Lines) -> Any:
    """Append log lines to runs."""
    lines = [
        Line(
            Run(line.id, line.attempt),
            line.message,
            LEVELS[line.level],
            line.logger,
            None if line.at is None else line.at.timestamp(),
        )
        for line in given.lines
    ]
    return _recorded("lines", [line.run for line in lines], log(lines, _permitted(caller(request))))


@router.post("/work/progress", response=Recorded, operation_id="report_progress")
def report_progress(request: HttpRequest, given: Steps) -> Any:
    """Say how far runs are."""
    steps = [Step(Run(step.id, step.attempt), step.fraction, step.note) for step in given.runs]
    return _recorded("runs", [step.run for step in steps], progress(steps, _permitted(caller(request))))


@router.post("/work/finish", response=Finished, operation_id="finish_work")
def finish_work(request: HttpRequest, given: Finishes) -> Any:
    """End runs. Each is settled once; the same end told again gets the same answer."""
    ends = [
        End(
            run=Run(run.id, run.attempt),
            outcome=Outcome(run.outcome),
            result=run.result,
            error=run.error,
            error_type=run.error_type,
            traceback=run.traceback,
            retryable=run.retryable,
            retry_in=run.retry_in,
        )
        for run in given.runs
    ]
    try:
        settled, stale = finish(ends, _permitted(caller(request)))
    except RowsLocked as error:
        text = "another transaction has locked the job's row: tell all again, which ends none twice"
        fields = {f"runs.{number}": text for number, end in enumerate(ends) if end.run in error.runs}
        raise Refused(503, fields=fields, retry_after=LOCKED) from None
    _refuse("runs", [end.run for end in ends], stale)
    return {"runs": [{**one.run._asdict(), "state": one.state, "error": one.error} for one in settled]}


@router.post("/work/leave", response=Left, operation_id="leave_work")
def leave_work(request: HttpRequest, given: Worker) -> Any:
    """Give the lease back at shutdown. Hand back what still runs before, with the outcome ``interrupted``."""
    _permitted(caller(request))
    return {"left": presence.leave(given.worker)}


# --- Steps ------------------------------------------------------------------------------------------------------------


def _permitted(who: Caller) -> list[str]:
    """The external kinds that this caller may run: who runs a job sees its arguments and ends it, as who acts on it may."""
    return [kind for kind in external_kinds() if who.has_kind(kind) and permissions.may_act(who.user, kind)]


def _asked(who: Caller, kinds: list[str] | None) -> list[str]:
    """The kinds that it asks for; all that it may run when it names none.

    Raises:
        Refused: 422 for a kind that is not external, 403 for one that it may not run.
    """
    known = external_kinds()
    for number, kind in enumerate(kinds or ()):
        if kind not in known:
            remedy = did_you_mean(kind, known) if known else "declare one with external_kind(…)"
            raise Refused(422, fields={f"kinds.{number}": f"{kind!r:.80} is no external kind here; {remedy}"})
        who.must_act(kind)
    if permitted := kinds or _permitted(who):
        return permitted
    raise Refused(403, "There is no external kind that this token and its user may run.")


def _recorded(where: Literal["lines", "runs"], runs: list[Run], stale: list[Stale]) -> dict[str, int]:
    _refuse(where, runs, stale)
    return {"recorded": len(runs)}


def _refuse(where: Literal["lines", "runs"], runs: list[Run], stale: Iterable[Stale]) -> None:
    """Raises Refused (409) which names each stale entry by its place; all others were recorded."""
    reasons = {one.run: one.reason for one in stale}
    fields = {f"{where}.{number}": reasons[run] for number, run in enumerate(runs) if run in reasons}
    if fields:
        raise Refused(409, fields=fields)
