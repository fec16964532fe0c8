"""The bodies of requests and answers about schedules, as the document shows them."""

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, Field

from furrow.api.shapes import Given, Time, said
from furrow.schedule import LONGEST_JITTER, LONGEST_NAME, LONGEST_WINDOW, CatchUp, Overlap

# --- Requests ---------------------------------------------------------------------------------------------------------

_KIND = Annotated[Any, said("A kind's name.", "string")]
_TIMING = Annotated[Any, said("Cron (0 3 * * *), @daily, @every 90s or @at 2030-01-31T18:00.", "string", maxLength=200)]


class ScheduleParts(Given):
    """What there is to say of a schedule; what is left out is as the form of the admin has it, or stays as it is."""

    arguments: Annotated[Any, said("The job's arguments by name. Dots stand for secrets, which stay.", "object")] = None
    timezone: Annotated[Any, said("Of its hours, such as Europe/Berlin. Default: the site's.", "string")] = None
    catch_up: Annotated[Any, said("Which missed times get a job.", "string", enum=[*CatchUp, None])] = None
    window: Annotated[
        Any, said("Seconds: what was missed by more gets no job.", "number", minimum=0, maximum=LONGEST_WINDOW)
    ] = None
    overlap: Annotated[Any, said("While its last job has not ended.", "string", enum=[*Overlap, None])] = None
    jitter: Annotated[Any, said("Seconds: submit up to so much later.", "number", minimum=0, maximum=LONGEST_JITTER)] = None
    starts_at: Annotated[Any, said("No time before.", "string", format="date-time")] = None
    ends_at: Annotated[Any, said("No time after.", "string", format="date-time")] = None
    queue: Annotated[Any, said("One of the queues.", "string")] = None
    priority: Annotated[Any, said("0 goes first, 9 last.", "integer", minimum=0, maximum=9)] = None
    max_attempts: Annotated[Any, said("At most so many attempts.", "integer", minimum=1, maximum=1000)] = None
    expires: Annotated[Any, said("Cancel a job that has not begun so many seconds after it is due.", "number")] = None
    tags: Annotated[Any, said("Short texts to find the jobs by.", "array", items={"type": "string"}, maxItems=10)] = None
    meta: Annotated[Any, said("Metadata that travels with the jobs.", "object")] = None


class OneSchedule(ScheduleParts):
    """A schedule to be made."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    kind: _KIND
    timing: _TIMING


class ScheduleChange(ScheduleParts):
    """What of a schedule is changed; what is left out stays. ``null`` takes a start, an end or an option away."""

    name: Annotated[Any, said("Its name.", "string", maxLength=LONGEST_NAME)] = None
    kind: _KIND = None
    timing: _TIMING = None


class SchedulePause(Given):
    """Why a schedule is paused."""

    reason: str = Field("", max_length=500)


class BackfillSpan(Given):
    """From when to when; ``preview``: only say for how many times."""

    start: Annotated[Any, said("The first time.", "string", format="date-time")] = None
    end: Annotated[Any, said("The last time; now where it is left out.", "string", format="date-time")] = None
    preview: bool = False


# --- Answers ----------------------------------------------------------------------------------------------------------


class ScheduleShape(BaseModel):
    """A schedule. Secret arguments are dots; ``window`` and ``jitter`` are seconds."""

    id: int
    name: str
    kind: str
    arguments: dict[str, Any]
    timing: str
    words: str
    timezone: str
    options: dict[str, Any]
    catch_up: str
    window: float
    overlap: str
    jitter: float
    starts_at: Time | None
    ends_at: Time | None
    declared: bool
    condition: str
    reason: str
    next_at: Time | None
    last_at: Time | None
    last_job: uuid.UUID | None


class TickShape(BaseModel):
    """A time, and what became of it: its job's state, or ``skipped``, ``missed``, ``deleted``; ``late`` in seconds."""

    due_at: Time
    became: str
    origin: str
    job: uuid.UUID | None
    missed: int
    late: float
    note: str


class WholeSchedule(ScheduleShape):
    """A schedule with its next and last times, the latest of these first."""

    next_times: list[Time]
    last_times: list[TickShape]


class SchedulePage(BaseModel):
    """The schedules by their names, and how many there are beyond these; ``next`` is an address."""

    schedules: list[ScheduleShape]
    more: int
    next: str | None


class TimingShape(BaseModel):
    """What a text means: in words, and the next times."""

    words: str
    timezone: str
    next_times: list[Time]


class ScheduleChanged(BaseModel):
    """What became of a pause."""

    schedule: str
    condition: str
    changed: bool


class ScheduleDeleted(BaseModel):
    """The schedule that is gone."""

    schedule: str
    changed: bool


class ScheduleRan(BaseModel):
    """The job that was submitted."""

    schedule: str
    job: uuid.UUID


class Backfilled(BaseModel):
    """The jobs that a backfill submitted, or the times for which it would; ``times`` counts them."""

    schedule: str
    times: int
    due: list[Time]
    jobs: list[uuid.UUID]
