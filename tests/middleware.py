"""A middleware for workers of tests: it says with each run which metadata that has."""

from collections.abc import Callable
from typing import Any

from furrow import Middleware, RunningJob, Snooze, current_job


class Tells(Middleware):
    """Logs the metadata, snoozes the first run and makes the result of the others a list with the metadata in it."""

    def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        current_job.log("tenant %s", job.meta.get("tenant"))
        if job.meta.get("breaks"):
            raise LookupError("no such tenant")
        if job.attempt == 1:
            raise Snooze(0.01)
        return [job.meta, dict(current_job.meta), call_next()]
