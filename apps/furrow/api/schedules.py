"""Look at schedules, pause and resume them, run them now, backfill a span."""

import datetime as dt
import uuid
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Router
from pydantic import BaseModel, Field

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.api.auth import Caller, caller, needs
from furrow.api.shapes import Given, Time, said
from furrow.diagnosis.as_json import utc
from furrow.errors import InputError
from furrow.models import Schedule
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.sanitize import clean
from furrow.schedules import acting, as_json
from furrow.statements import clock

router = Router(auth=needs(Scope.READ), tags=["schedules"])
#: Schedules of one answer.
MOST = 1_000


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
    """The schedules by their names, and how many there are beyond these."""

    schedules: list[ScheduleShape]
    more: int


class SchedulePause(Given):
    """SchedulePause a schedule is paused."""

    reason: str = Field("", max_length=500)


class BackfillSpan(Given):
    """From when to when; ``preview``: only say for how many times."""

    start: Annotated[Any, said("The first time.", "string", format="date-time")] = None
    end: Annotated[Any, said("The last time; now where it is left out.", "string", format="date-time")] = None
    preview: bool = False


class ScheduleChanged(BaseModel):
    """What became of a pause."""

    schedule: str
    condition: str
    changed: bool


class ScheduleRan(BaseModel):
    """The job that was submitted."""

    schedule: str
    job: uuid.UUID


class Backfilled(BaseModel):
    """The jobs that a backfill submitted, or for how many times it would."""

    schedule: str
    times: int
    jobs: list[uuid.UUID]


@router.get("/schedules", response=SchedulePage, operation_id="list_schedules")
def list_schedules(request: HttpRequest) -> Any:
    """The schedules, by their names."""
    who, now = caller(request), clock.now()
    who.must_see("schedule")
    found = Schedule.objects.all()
    if who.kinds:
        found = found.filter(kind__in=sorted(who.kinds))
    rows = list(found[: MOST + 1])
    more = found.count() - MOST if len(rows) > MOST else 0
    return {"schedules": [_shown(row, now) for row in rows[:MOST]], "more": more}


@router.get("/schedules/{schedule_id}", response=WholeSchedule, operation_id="get_schedule")
def get_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """One schedule, with its next and last times."""
    return _shown(_find(caller(request), schedule_id), clock.now(), whole=True)


@router.post("/schedules/{schedule_id}/pause", response=ScheduleChanged, auth=needs(Scope.ACT), operation_id="pause_schedule")
def pause_schedule(request: HttpRequest, schedule_id: int, why: SchedulePause) -> Any:
    """Let a schedule fire no more."""
    who, reason = caller(request), clean(why.reason).strip()
    row = _find(who, schedule_id)
    who.must_act(row.kind)
    return _changed(who, "pause", row, lambda: acting.pause(row, by=who.user.get_username(), reason=reason), reason)


@router.post("/schedules/{schedule_id}/resume", response=ScheduleChanged, auth=needs(Scope.ACT), operation_id="resume_schedule")
def resume_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """Let a schedule go on with its next time."""
    who = caller(request)
    row = _find(who, schedule_id)
    who.must_act(row.kind)
    return _changed(who, "resume", row, lambda: acting.resume(row))


@router.post("/schedules/{schedule_id}/run", response=ScheduleRan, auth=needs(Scope.SUBMIT), operation_id="run_schedule")
def run_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """Submit a schedule's job now."""
    who = caller(request)
    row = _may_run(who, schedule_id)
    with atomic():
        job = acting.run_now(row)
        audit("run now", by=who.user, origin=Origin.API, target=f"schedule {row.name}", job=job, token=who.named)
    return {"schedule": row.name, "job": job}


@router.post(
    "/schedules/{schedule_id}/backfill", response=Backfilled, auth=needs(Scope.SUBMIT), operation_id="backfill_schedule"
)
def backfill_schedule(request: HttpRequest, schedule_id: int, span: BackfillSpan) -> Any:
    """Submit a job for each time of a span that has none."""
    who = caller(request)
    row = _may_run(who, schedule_id)
    start, end = _moment("start", span.start), clock.now() if span.end is None else _moment("end", span.end)
    if span.preview:
        return {"schedule": row.name, "times": len(acting.missing(row, start, end)), "jobs": []}
    with atomic():
        jobs = acting.backfill(row, start, end)
        told, target = f"{start.isoformat()} to {end.isoformat()}", f"schedule {row.name}"
        token, count = who.named, len(jobs)
        audit("backfill", by=who.user, origin=Origin.API, target=target, ids=jobs, count=count, detail=told, token=token)
    return {"schedule": row.name, "times": len(jobs), "jobs": jobs}


# --- Steps ----------------------------------------------------------------------------------------------------------------


def _find(who: Caller, id: int) -> Schedule:
    """Raises Refused, or Http404 for one that is not there or whose kind the token is not for."""
    who.must_see("schedule")
    row = Schedule.objects.filter(pk=id).first() if 0 < id < 2**63 else None
    if row is None or not who.has_kind(row.kind):
        raise Http404(f"There is no schedule {id}.")
    return row


def _may_run(who: Caller, id: int) -> Schedule:
    row = _find(who, id)
    needed = f"furrow.view_schedule and {permissions.SUBMIT}"
    who.must(permissions.may_run_schedule(who.user, row.kind), f"submit jobs of {row.name}", needed)
    return row


def _changed(who: Caller, action: str, row: Schedule, act: Any, detail: str = "") -> dict[str, Any]:
    with atomic():
        changed = act()
        if changed:
            audit(action, by=who.user, origin=Origin.API, target=f"schedule {row.name}", detail=detail, token=who.named)
    row.refresh_from_db()
    return {"schedule": row.name, "condition": as_json.schedule(row, clock.now())["condition"], "changed": changed}


def _moment(name: str, given: Any) -> dt.datetime:
    """Raises InputError: it is no time."""
    try:
        moment = dt.datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            return moment.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError({name: f"{str(given)[:60]!r} is no time with a zone: write it as 2030-01-31T18:00:00Z"})


def _shown(row: Schedule, now: dt.datetime, *, whole: bool = False) -> Any:
    return _plain({"id": row.pk, **as_json.schedule(row, now, whole=whole)})


def _plain(value: Any) -> Any:
    """With times as texts, in UTC."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return utc(value) if isinstance(value, dt.datetime) else value
