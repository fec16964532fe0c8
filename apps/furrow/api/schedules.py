"""Look at schedules, pause and resume them, run them now, backfill a span. (``scheduling`` makes and changes them.)"""

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from ninja import Router

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.api.auth import Caller, caller, needs
from furrow.api.schedule_shapes import (
    Backfilled,
    BackfillSpan,
    ScheduleChanged,
    SchedulePage,
    SchedulePause,
    ScheduleRan,
    TimingShape,
    WholeSchedule,
)
from furrow.diagnosis.as_json import utc
from furrow.diagnosis.schedules_as_json import schedule_json
from furrow.errors import InputError
from furrow.models import Schedule
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.recurrence import RecurrenceError
from furrow.sanitize import clean
from furrow.schedules import acting, upcoming
from furrow.schedules.rows import moment_of, usual_timezone
from furrow.statements import clock

router = Router(auth=needs(Scope.READ), tags=["schedules"])
#: Schedules of one answer.
MOST = 1_000


# --- Looking ----------------------------------------------------------------------------------------------------------


@router.get("/schedules", response=SchedulePage, operation_id="list_schedules")
def list_schedules(request: HttpRequest, name: str = "", after: str = "") -> Any:
    """The schedules, by their names; or the one of this ``name``."""
    who, now = caller(request), clock.now()
    who.must_see("schedule")
    found = Schedule.objects.filter(name__gt=after)
    if name:
        found = found.filter(name=name)
    if who.kinds:
        found = found.filter(kind__in=sorted(who.kinds))
    rows = list(found[: MOST + 1])
    more = found.count() - MOST if len(rows) > MOST else 0
    rows = rows[:MOST]
    return {
        "schedules": [schedule_json(row, now) for row in rows],
        "more": more,
        "next": f"{request.path}?{urlencode({'after': rows[-1].name})}" if more else None,
    }


@router.get("/schedules/preview", response=TimingShape, operation_id="preview_schedule")
def preview_schedule(request: HttpRequest, timing: str, timezone: str = "", starts_at: str = "") -> Any:
    """What a timing means: in words, and the next times."""
    caller(request).must_see("schedule")
    zone = timezone or usual_timezone()
    try:
        words, times = upcoming.preview(timing, zone, moment_of("starts_at", starts_at) if starts_at else None, clock.now())
    except RecurrenceError as error:
        raise InputError({"timing": str(error)}) from None
    return {"words": words, "timezone": zone, "next_times": [utc(one) for one in times]}


@router.get("/schedules/{schedule_id}", response=WholeSchedule, operation_id="get_schedule")
def get_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """One schedule, with its next and last times."""
    return schedule_json(find(caller(request), schedule_id), clock.now(), whole=True)


# --- Acting -----------------------------------------------------------------------------------------------------------


@router.post("/schedules/{schedule_id}/pause", response=ScheduleChanged, auth=needs(Scope.ACT), operation_id="pause_schedule")
def pause_schedule(request: HttpRequest, schedule_id: int, why: SchedulePause) -> Any:
    """Let a schedule fire no more."""
    who, reason = caller(request), clean(why.reason).strip()
    row = find(who, schedule_id)
    who.must_act(row.kind)
    return _changed(who, "pause", row, lambda: acting.pause(row, by=who.user.get_username(), reason=reason), reason)


@router.post("/schedules/{schedule_id}/resume", response=ScheduleChanged, auth=needs(Scope.ACT), operation_id="resume_schedule")
def resume_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """Let a schedule go on with its next time."""
    who = caller(request)
    row = find(who, schedule_id)
    who.must_act(row.kind)
    return _changed(who, "resume", row, lambda: acting.resume(row))


@router.post("/schedules/{schedule_id}/run", response=ScheduleRan, auth=needs(Scope.SUBMIT), operation_id="run_schedule")
def run_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """Submit a schedule's job now."""
    who = caller(request)
    row = _may_run(who, schedule_id)
    with atomic():
        job = acting.run_now(row, by=who.user)
        audit("run now", by=who.user, origin=Origin.API, target=f"schedule {row.name}", job=job, token=who.named)
    return {"schedule": row.name, "job": job}


@router.post(
    "/schedules/{schedule_id}/backfill", response=Backfilled, auth=needs(Scope.SUBMIT), operation_id="backfill_schedule"
)
def backfill_schedule(request: HttpRequest, schedule_id: int, span: BackfillSpan) -> Any:
    """Submit a job for each time of a span that has none."""
    who = caller(request)
    row = _may_run(who, schedule_id)
    start, end = moment_of("start", span.start), clock.now() if span.end is None else moment_of("end", span.end)
    if span.preview:
        times = acting.missing(row, start, end)
        return {"schedule": row.name, "times": len(times), "due": [utc(one) for one in times], "jobs": []}
    with atomic():
        jobs = acting.backfill(row, start, end, by=who.user)
        told, target = f"{start.isoformat()} to {end.isoformat()}", f"schedule {row.name}"
        token, count = who.named, len(jobs)
        audit("backfill", by=who.user, origin=Origin.API, target=target, ids=jobs, count=count, detail=told, token=token)
    return {"schedule": row.name, "times": len(jobs), "due": [], "jobs": jobs}


# --- Steps ------------------------------------------------------------------------------------------------------------


def find(who: Caller, id: int) -> Schedule:
    """The schedule. Raises Refused, or Http404 for one that is not there or whose kind the token is not for."""
    who.must_see("schedule")
    row = Schedule.objects.filter(pk=id).first() if 0 < id < 2**63 else None
    if row is None or not who.has_kind(row.kind):
        raise Http404(f"There is no schedule {id}.")
    return row


def _may_run(who: Caller, id: int) -> Schedule:
    row = find(who, id)
    needed = f"furrow.view_schedule and {permissions.SUBMIT}"
    who.must(permissions.may_run_schedule(who.user, row.kind), f"submit jobs of {row.name}", needed)
    return row


def _changed(who: Caller, action: str, row: Schedule, act: Any, detail: str = "") -> dict[str, Any]:
    with atomic():
        changed = act()
        if changed:
            audit(action, by=who.user, origin=Origin.API, target=f"schedule {row.name}", detail=detail, token=who.named)
    row.refresh_from_db()
    return {"schedule": row.name, "condition": upcoming.condition(row), "changed": changed}
