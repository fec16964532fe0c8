"""Nodes that wait: for a signal, or for a time. Each is a job that ends its run at once, and goes on when it is time."""

import datetime as dt
from typing import Any

from furrow.context import current_job
from furrow.errors import SignalTimeout
from furrow.kinds.retry import RetryPolicy
from furrow.models import Step
from furrow.steps.sending import WAITS
from furrow.submission.job import job

_RETRY = RetryPolicy(max_attempts=25, exceptions={SignalTimeout: None})


@job(name=WAITS, retry=_RETRY)
def wait_for_signal(signal: str, seconds: float | None = None) -> Any:
    """Wait for a signal to the workflow. Workflows have jobs of this kind by themselves.

    Args:
        signal: its name.
        seconds: how long, at most.
    """
    try:
        return current_job.wait_signal(signal, timeout=seconds)
    except SignalTimeout:
        # So that a retry of this node, or a restart of its workflow, waits anew, and is not told the same.
        Step.objects.filter(job=current_job.id, passed_in=current_job.attempt).delete()
        raise


@job(name="furrow.sleep", retry=_RETRY)
def sleep(seconds: float = 0, until: dt.datetime | None = None) -> None:
    """Wait for a time. Workflows have jobs of this kind by themselves.

    Args:
        seconds: so long.
        until: or until then.
    """
    if until is None:
        current_job.sleep(seconds)
    else:
        current_job.sleep_until(until)
