"""Make, change and delete schedules: those that people made, as in the admin. Those of the code are changed there."""

from typing import Any

from django.http import HttpRequest

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.admin.forms.schedule_json import written
from furrow.api.auth import Caller, caller, needs
from furrow.api.idempotency import Key, once
from furrow.api.schedule_shapes import OneSchedule, ScheduleChange, ScheduleDeleted, WholeSchedule
from furrow.api.schedules import find, router
from furrow.api.submitting import kind_for
from furrow.diagnosis.schedules_as_json import schedule_json
from furrow.models import Schedule
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.schedules import acting
from furrow.statements import clock
from furrow.web.problems import Refused

_MAY = needs(Scope.SUBMIT)


@router.post("/schedules", auth=_MAY, response={201: WholeSchedule}, operation_id="add_schedule")
def add_schedule(request: HttpRequest, schedule: OneSchedule, idempotency_key: Key = None) -> Any:
    """Make a schedule."""
    who = caller(request)
    _must_change(who, "add", str(schedule.kind))
    kind_for(who, str(schedule.kind))

    def do() -> tuple[int, Any]:
        given = {name: value for name, value in schedule.model_dump(exclude_unset=True).items() if value is not None}
        row = written(given, who.user)
        _write_down(who, "add", row)
        return 201, schedule_json(row, clock.now(), whole=True)

    return once(request, who.user, idempotency_key, do)


@router.post("/schedules/{schedule_id}/change", auth=_MAY, response=WholeSchedule, operation_id="change_schedule")
def change_schedule(request: HttpRequest, schedule_id: int, change: ScheduleChange) -> Any:
    """Change a schedule that people made. Where its times change, its next one is the first from now on."""
    who = caller(request)
    row = find(who, schedule_id)
    given = change.model_dump(exclude_unset=True)
    _must_change(who, "change", row.kind)
    if "kind" in given:
        kind_for(who, str(given["kind"]))
    if row.source == Schedule.Source.CODE:
        raise Refused(409, f"Nothing was changed: {row.name} is declared in the code; change it there.")
    with atomic():
        locked = Schedule.objects.select_for_update().get(pk=row.pk)
        row = written(given, who.user, locked)
        _write_down(who, "change", row)
    return schedule_json(row, clock.now(), whole=True)


@router.post("/schedules/{schedule_id}/delete", auth=needs(Scope.ACT), response=ScheduleDeleted, operation_id="delete_schedule")
def delete_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """Delete a schedule that people made, or one that the code does not declare any more; its jobs stay."""
    who = caller(request)
    row = find(who, schedule_id)
    may = permissions.may_delete_schedules(who.user, row.kind)
    who.must(may, f"delete {row.name}", "furrow.delete_schedule and its kind's own permission")
    if row.source == Schedule.Source.CODE and row.orphaned_at is None:
        raise Refused(409, f"Nothing was changed: {row.name} is declared in the code; remove it there, or pause it.")
    with atomic():
        changed = acting.delete(row)
        if changed:
            _write_down(who, "delete", row)
    return {"schedule": row.name, "changed": changed}


def _must_change(who: Caller, verb: str, kind: str) -> None:
    """Raises Refused (403) unless it may."""
    needed = f"furrow.{verb}_schedule, {permissions.SUBMIT} and the kind's own permission"
    who.must(permissions.may_change_schedules(who.user, verb, kind), f"{verb} schedules of {kind}", needed)


def _write_down(who: Caller, action: str, row: Schedule) -> None:
    target, detail = f"schedule {row.name}", f"{row.kind}, {row.timing}"
    audit(action, by=who.user, origin=Origin.API, target=target, detail=detail, token=who.named)
