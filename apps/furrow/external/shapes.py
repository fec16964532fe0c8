"""Shapes: the bodies of workers' requests and answers, over HTTP and over AMQP."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from furrow.errors import LONGEST_SNOOZE

#: Entries of one request; jobs of one claim; seconds that one waits.
MOST, MOST_JOBS, LONGEST_WAIT = 1_000, 100, 25.0
#: What PostgreSQL's ``integer`` holds.
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


# --- Requests ---------------------------------------------------------------------------------------------------------


class Worker(_Given):
    """A worker, by the id that its last claim gave it."""

    worker: uuid.UUID


class Claim(_Given):
    """A worker asks for work."""

    worker: uuid.UUID | None = Field(None, description="The id of the last answer; none at first.")
    name: str = Field(min_length=1, max_length=200, description="What the admin calls this worker.")
    kinds: list[str] | None = Field(None, min_length=1, max_length=100, description="None: all that it may run.")
    limit: int = Field(1, ge=1, le=MOST_JOBS)
    wait: float = Field(0, ge=0, le=LONGEST_WAIT, description="Seconds to wait for the first job.")
    host: str = Field("", max_length=255)
    pid: Whole = 0
    version: str = Field("", max_length=100)
    processes: Whole = Field(1, description="Jobs that it runs at once.")


class RunName(_Given):
    """One attempt of one job."""

    id: uuid.UUID
    attempt: Whole


class Heartbeat(Worker):
    """What a worker runs; without ``runs`` it does not say."""

    runs: list[RunName] | None = Field(None, max_length=MOST)


class LineShape(RunName):
    """A log line; a long one is cut."""

    message: str
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    logger: str = Field("", max_length=200)
    at: AwareDatetime | None = Field(None, description="With its zone. None: now.")


class Lines(_Given):
    """Log lines of any runs."""

    lines: list[LineShape] = Field(min_length=1, max_length=MOST)


class StepShape(RunName):
    """How far a run is."""

    fraction: float = Field(ge=0, le=1)
    note: str = Field("", max_length=200)


class Steps(_Given):
    """How far runs are."""

    runs: list[StepShape] = Field(min_length=1, max_length=MOST)


class FinishShape(RunName):
    """How a run ended."""

    outcome: Literal["succeeded", "failed", "timed out", "cancelled", "interrupted", "snoozed"]
    result: Any = Field(None, description="Of a run that succeeded: what the kind's result says.")
    error: str = ""
    error_type: str = Field("", max_length=200)
    traceback: str = ""
    retryable: bool = Field(True, description="Another attempt may mend it.")
    retry_in: float | None = Field(None, ge=0, le=LONGEST_SNOOZE, description="Seconds. None: as the kind's policy says.")


class Finishes(_Given):
    """How runs ended."""

    runs: list[FinishShape] = Field(min_length=1, max_length=MOST)


# --- Answers ----------------------------------------------------------------------------------------------------------


class AssignmentShape(BaseModel):
    """A job to run now; ``timeout`` in seconds from now. Secret arguments are in plain text."""

    id: uuid.UUID
    kind: str
    attempt: int
    max_attempts: int
    arguments: dict[str, Any]
    meta: dict[str, Any]
    timeout: float | None


class Claimed(BaseModel):
    """Jobs, which are this worker's until ``lease`` seconds pass without a heartbeat."""

    worker: uuid.UUID
    lease: float
    jobs: list[AssignmentShape]


class Pulse(BaseModel):
    """``lives``: the lease holds; if not, claim again, as a new worker. ``cancelled``: stop and finish them. ``lost``: stop
    them and say nothing. ``stop``: somebody asked this worker to shut down."""

    lives: bool
    lease: float
    cancelled: list[RunName]
    lost: list[RunName]
    stop: bool


class Recorded(BaseModel):
    """How many entries were recorded."""

    recorded: int


class Ended(RunName):
    """The job's state after the run; ``error`` says what was wrong, also with the result."""

    state: str
    error: str


class Finished(BaseModel):
    """What became of the runs."""

    runs: list[Ended]


class Left(BaseModel):
    """``left``: there was a lease to give back."""

    left: bool
