"""The results of a group that takes a task's place, as one."""

from typing import Any

from furrow.canvas.building import GATHERS
from furrow.kinds.retry import RetryPolicy
from furrow.submission.job import job


@job(name=GATHERS, retry=RetryPolicy(max_attempts=25))
def gather(value: Any) -> Any:
    """Put the results of several jobs together. Workflows of Celery's canvas have jobs of this kind by themselves.

    Args:
        value: the results.
    """
    return value
