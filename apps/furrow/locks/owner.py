"""Owners of locks as text: ``job:ID:ATTEMPT``, or ``host:pid:random`` outside of a job."""

import re
import uuid

_JOB = re.compile(r"job:([0-9a-f-]{36}):(\d{1,9})", re.ASCII)


def of_job(job: uuid.UUID | str, attempt: int) -> str:
    """The owner of what this run of a job holds."""
    return f"job:{job}:{attempt}"


def job_of(owner: str) -> tuple[uuid.UUID, int] | None:
    """The job and its attempt; ``None`` when it is no job's."""
    match = _JOB.fullmatch(owner)
    try:
        return (uuid.UUID(match[1]), int(match[2])) if match else None
    except ValueError:  # hyphens elsewhere: nobody's
        return None
