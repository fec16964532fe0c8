"""The bodies of requests and answers, as the document shows them.

What a request says of a job is checked by ``submit`` itself, so that it is refused for the same reasons and in the same words
as everywhere: here it is of any type, and the document alone says of which it must be.
"""

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

#: ISO 8601, in UTC.
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
#: Jobs of one request.
MOST_ROWS, MOST_JOBS = 10_000, 1_000


def said(description: str, of: str, **schema: Any) -> WithJsonSchema:
    """What the document says that a value must be."""
    return WithJsonSchema({"description": description, "type": [of, "null"], **schema})


# --- Requests ---------------------------------------------------------------------------------------------------------


class Given(BaseModel):
    """What a request brings."""

    model_config = ConfigDict(extra="forbid")


class Options(Given):
    """Options of a submit; each overrides the kind's own."""

    queue: Annotated[Any, said("One of the queues.", "string")] = None
    priority: Annotated[Any, said("0 goes first, 9 last.", "integer", minimum=0, maximum=9)] = None
    run_at: Annotated[Any, said("Do not start before this time.", "string", format="date-time")] = None
    countdown: Annotated[Any, said("Do not start before this many seconds from now.", "number", minimum=0)] = None
    expires: Annotated[Any, said("Cancel a job that has not begun so many seconds after it is due.", "number")] = None
    max_attempts: Annotated[Any, said("At most so many attempts.", "integer", minimum=1, maximum=1000)] = None
    batch: Annotated[Any, said("An id that jobs share which belong together.", "string", format="uuid")] = None
    tags: Annotated[Any, said("Short texts to find the job by.", "array", items={"type": "string"}, maxItems=10)] = None
    meta: Annotated[Any, said("Metadata that travels with the job.", "object")] = None

    def chosen(self) -> dict[str, Any]:
        """Those that were given."""
        names = Options.model_fields
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class OneJob(Options):
    """A job to be submitted."""

    kind: str
    arguments: Annotated[Any, said("The handler's arguments by name.", "object")] = Field(default_factory=dict)
    words: list[str] = Field(
        default_factory=list,
        max_length=1_000,
        description="More arguments, as name=value; each is read as the same text in the form of the admin.",
    )


class ManyJobs(Options):
    """Jobs of one kind, all or none."""

    rows: list[Any] | None = Field(
        None,
        min_length=1,
        max_length=MOST_ROWS,
        json_schema_extra={"items": {"type": "object"}},
        description="Arguments, a job each.",
    )
    table: str | None = Field(None, description="Instead of rows: a table, read as the admin reads a file of jobs.")
    table_format: Literal["csv", "jsonl"] = Field("csv", description="What the table is: CSV, or a JSON object a line.")


class BatchOfJobs(Given):
    """Jobs of several kinds, all or none; they share the batch."""

    jobs: list[OneJob] = Field(min_length=1, max_length=MOST_JOBS)


def _alone(name: str, of: str) -> dict[str, Any]:
    """What the document says of two values of which one is given."""
    other = {"until": "seconds", "seconds": "until"}[name]
    return {"required": [name], "properties": {name: {"type": of}, other: {"type": "null"}}}


class Postponed(Given):
    """Until when a job is postponed: a time, or seconds from now."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_alone("until", "string"), _alone("seconds", "number")]})

    until: Annotated[Any, said("A time.", "string", format="date-time")] = None
    seconds: float | None = Field(None, gt=0, le=366 * 86_400, allow_inf_nan=False)


class Sent(Given):
    """A signal to a job."""

    name: str = Field(min_length=1, max_length=200)
    payload: Any = Field(None, description="What the job gets with it.")


class FromStep(Given):
    """The first step that is done again."""

    step: str


class Pause(Given):
    """Why a queue is paused."""

    reason: str = Field("", max_length=500)
    drain: bool = Field(False, description="Let run what RabbitMQ has already.")


# --- Answers ----------------------------------------------------------------------------------------------------------


class JobShape(BaseModel):
    """A job. Secret arguments are dots."""

    id: uuid.UUID
    kind: str
    title: str
    state: str
    queue: str
    priority: int
    arguments: dict[str, Any]
    meta: dict[str, Any] | None
    batch: uuid.UUID | None
    tags: list[Any]
    submitted_by: str | None
    created_at: Time | None
    run_at: Time | None
    expires_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    attempt: int
    attempts_counted: int
    max_attempts: int
    progress: float | None
    progress_note: str
    error: str


class SubmittedJob(JobShape):
    """A job that was submitted; ``existed``: a unique one that was there already."""

    existed: bool


class AttemptShape(BaseModel):
    """One run."""

    number: int
    outcome: str
    seconds: float | None
    worker: uuid.UUID | None
    pid: int | None
    error_type: str
    error: str
    traceback: str
    started_at: Time | None
    finished_at: Time | None


class Why(BaseModel):
    """Why a job has not begun or ended, and what to do about it."""

    text: str
    when: Time | None
    remedy: str
    stuck: bool


class StepShape(BaseModel):
    """A step of a job: ``sort`` is ``step``, ``sleep``, ``signal`` or ``call``; ``attempt`` recorded it, ``passed_in`` went on
    behind it; ``until``: the end of a sleep, or of the patience of a wait."""

    name: str
    sort: str
    position: int
    attempt: int
    passed_in: int | None
    version: str
    awaits: str
    timed_out: bool
    note: str
    started_at: Time | None
    until: Time | None
    finished_at: Time | None
    result: Any


class SentSignal(BaseModel):
    """What came of a signal: the job waited for it and goes on, or it is kept."""

    delivered: bool


class InWorkflow(BaseModel):
    """The workflow that a job belongs to, and the name of its node there."""

    id: uuid.UUID
    name: str
    node: str


class WholeJob(JobShape):
    """A job with all that there is to know."""

    result: Any
    why: Why | None
    workflow: InWorkflow | None
    attempts: list[AttemptShape]
    steps: list[StepShape]


class JobResult(JobShape):
    """A job with its result."""

    result: Any
    ended: bool


class JobPage(BaseModel):
    """Jobs, newest first; ``next`` and ``previous`` are addresses. ``searched``: how many jobs were looked through, if a search
    had to end before all were; ``further`` goes on with more patience."""

    jobs: list[JobShape]
    next: str | None
    previous: str | None
    searched: int | None
    further: str | None


class LogEntry(BaseModel):
    """A log line; ``level`` is Python's number."""

    at: Time | None
    attempt: int
    level: int
    logger: str
    message: str


class LogPage(BaseModel):
    """Log lines, oldest first; ask with ``after`` for those that follow. ``ended``: the job has, and no more will come."""

    lines: list[LogEntry]
    after: int
    ended: bool


class Batch(BaseModel):
    """Jobs that were submitted together, in the order of the request."""

    batch: uuid.UUID
    ids: list[uuid.UUID]


class BatchCounts(BaseModel):
    """How many jobs of a batch are in each state."""

    batch: uuid.UUID
    jobs: int
    states: dict[str, int]
