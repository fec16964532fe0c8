"""Operations: what a worker asks, whatever carries it, becomes calls of the engine; returns what it is answered."""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from furrow import statements
from furrow.conf import conf
from furrow.errors import did_you_mean
from furrow.external import presence
from furrow.external.claims import Assignment, claim
from furrow.external.ends import End, finish
from furrow.external.fence import Run, Stale
from furrow.external.heartbeats import beat
from furrow.external.presence import Introduction
from furrow.external.reports import Line, Step, log, progress
from furrow.external.shapes import Claim, Finishes, Heartbeat, Lines, Steps, Worker
from furrow.models.database import connection
from furrow.states import Outcome

#: The lease of a worker that waits for work is renewed so many times in its length.
RENEWALS = 3
#: Why a run cannot be ended now.
LOCKED = "another transaction has locked the job's row: tell all again, which ends none twice"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class RunsOver(Exception):
    """Some runs of a request are over: why, by the entry, such as ``runs.1``. All others were recorded."""

    def __init__(self, entries: dict[str, str]) -> None:
        super().__init__("; ".join(entries.values()))
        self.entries = entries


class Claiming:
    """A worker's request for jobs, for as long as it waits."""

    def __init__(self, given: Claim, kinds: list[str]) -> None:
        """``kinds``: the ones that it asks for and may run."""
        self.kinds, self._given, self._worker, self._renew_at = kinds, given, given.worker, 0.0
        self._who = Introduction(
            given.name, kinds, conf().external_queues, given.host, given.pid, given.version, given.processes
        )

    def renew(self) -> None:
        """Keep the worker's lease, or begin a new one."""
        if self._worker is None or time.monotonic() >= self._renew_at:
            self._worker = presence.come(self._worker, self._who)
            self._renew_at = time.monotonic() + conf().worker_lease / RENEWALS

    def look(self) -> list[Assignment]:
        """Take the jobs that there are now."""
        self.renew()
        assert self._worker is not None
        return claim(self._worker, self.kinds, self._given.limit)

    def answer(self, jobs: Sequence[Assignment]) -> dict[str, Any]:
        """What the worker gets."""
        return {"worker": self._worker, "lease": conf().worker_lease, "jobs": [job._asdict() for job in jobs]}

    def unheard(self, jobs: Sequence[Assignment] = ()) -> None:
        """The worker gets no answer. The jobs are handed back, which does not count as an attempt; a worker that began with
        this request ends with it."""
        if self._worker is None:
            return
        if jobs:
            statements.on(connection).release_jobs(connection, self._worker, [str(job.id) for job in jobs])
        if self._worker != self._given.worker:
            (presence.leave if jobs else presence.forget)(self._worker)


def not_external(kind: str, known: Collection[str]) -> str:
    """Why nobody can claim jobs of this kind."""
    remedy = did_you_mean(kind, known) if known else "declare one with external_kind(…)"
    return f"{kind!r:.80} is no external kind here; {remedy}"


def keep_alive(given: Heartbeat, kinds: Collection[str]) -> dict[str, Any]:
    """Renew the lease; which runs to stop."""
    pulse = beat(given.worker, None if given.runs is None else [Run(run.id, run.attempt) for run in given.runs], kinds)
    return {
        "lives": pulse.lives,
        "lease": conf().worker_lease,
        "cancelled": [run._asdict() for run in pulse.cancelled],
        "lost": [run._asdict() for run in pulse.lost],
        "stop": pulse.stop,
    }


def append_lines(given: Lines, kinds: Collection[str]) -> dict[str, Any]:
    """Append log lines.

    Raises:
        RunsOver: of some.
    """
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
    return _recorded("lines", [line.run for line in lines], log(lines, kinds))


def note_progress(given: Steps, kinds: Collection[str]) -> dict[str, Any]:
    """Note how far runs are.

    Raises:
        RunsOver: some.
    """
    steps = [Step(Run(step.id, step.attempt), step.fraction, step.note) for step in given.runs]
    return _recorded("runs", [step.run for step in steps], progress(steps, kinds))


def end_runs(given: Finishes, kinds: Collection[str]) -> dict[str, Any]:
    """Settle runs.

    Raises:
        RunsOver: some, and they had not ended as they are told to have.
        RowsLocked: some cannot be settled now; all may be told again.
    """
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
    settled, stale = finish(ends, kinds)
    _refuse("runs", [end.run for end in ends], stale)
    return {"runs": [{**one.run._asdict(), "state": one.state, "error": one.error} for one in settled]}


def give_back(given: Worker, kinds: Collection[str]) -> dict[str, Any]:
    """End the lease."""
    return {"left": presence.leave(given.worker)}


def _recorded(where: str, runs: list[Run], stale: list[Stale]) -> dict[str, int]:
    _refuse(where, runs, stale)
    return {"recorded": len(runs)}


def _refuse(where: str, runs: list[Run], stale: Iterable[Stale]) -> None:
    reasons = {one.run: one.reason for one in stale}
    entries = {f"{where}.{number}": reasons[run] for number, run in enumerate(runs) if run in reasons}
    if entries:
        raise RunsOver(entries)
