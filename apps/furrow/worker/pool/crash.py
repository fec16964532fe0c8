"""What becomes of a job whose pool process died under it."""

import signal

from furrow.errors import CutOff, FurrowError, UnknownKind
from furrow.fingerprint import fingerprint
from furrow.kinds.kind import get_kind
from furrow.kinds.retry import RetryPolicy, next_delay
from furrow.statements import Claimed, Settlement
from furrow.states import Outcome, State


class PoolProcessDied(CutOff):
    """The pool process died while it ran this job."""


class HardTimeout(FurrowError):
    """The kind's timeout passed, and the process was killed."""


class LockOverstayed(CutOff):
    """It went on after it had lost a lock, and its process was killed before another could hold it."""


def settle_death(job: Claimed, pid: int, exitcode: int | None, kill_reason: Outcome | None) -> Settlement:
    """The end of a run whose process ended with this exit code (negative: a signal).

    ``kill_reason`` says why this worker killed the process itself; ``None`` when it did not.
    """
    if kill_reason is Outcome.INTERRUPTED:
        reason = "its process was stopped before it was done"
        return Settlement(job.id, job.attempt, State.PENDING, Outcome.INTERRUPTED, pid, delay=0.0, error=reason)
    if kill_reason is Outcome.CANCELLED:
        reason = "cancelled: it did not stop when asked, and its process was killed"
        return Settlement(job.id, job.attempt, State.CANCELLED, Outcome.CANCELLED, pid, error=reason)
    try:
        kind = get_kind(job.kind)
        policy, timeout = kind.retry, kind.limits(job.meta)[1]
    except UnknownKind:
        policy, timeout = RetryPolicy(), None
    error: FurrowError
    if kill_reason is Outcome.TIMED_OUT:
        error = HardTimeout(f"it ran longer than {timeout or 0:g} s and its process was killed")
    elif kill_reason is Outcome.CRASHED:
        error = LockOverstayed("it went on after it had lost a lock, and its process was killed")
    else:
        error = PoolProcessDied(f"pool process {pid} {manner(exitcode)} while it ran this job")
    delay = next_delay(policy, job.attempt - job.excused, job.max_attempts, error)
    name = type(error).__name__
    return Settlement(
        job.id,
        job.attempt,
        State.FAILED if delay is None else State.PENDING,
        kill_reason or Outcome.CRASHED,
        pid,
        delay=delay,
        error=f"{name}: {error}",
        error_type=name,
        fingerprint=fingerprint(name, str(error)),
    )


def manner(exitcode: int | None) -> str:
    """How a process ended, in words, with the signal's name."""
    if exitcode is None:
        return "ended"
    if exitcode >= 0:
        return f"exited with code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    hint = " (out of memory, or killed by hand)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
