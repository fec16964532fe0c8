"""Schedules of the project's database, for an actor who may."""

import datetime as dt
import uuid
from typing import Any

from django.core.management.base import CommandError

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.admin.forms.schedule_json import written
from furrow.command.actor import Actor
from furrow.command.source import Facts, Schedules
from furrow.diagnosis.as_json import utc
from furrow.diagnosis.schedules_as_json import schedule_json
from furrow.errors import did_you_mean
from furrow.models import Schedule
from furrow.models.database import atomic
from furrow.schedules import acting, upcoming
from furrow.schedules.rows import usual_timezone
from furrow.statements import clock


class SchedulesHere(Schedules):
    """Raises CommandError for who may not see schedules."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.actor.must(permissions.may_see(actor.user, "schedule"), "see schedules", "furrow.view_schedule")

    def write_down(self, action: str, row: Schedule, detail: str = "", job: uuid.UUID | None = None) -> None:
        """In the audit log."""
        by, token, target = self.actor.by, self.actor.token, f"schedule {row.name}"
        audit(action, by=by, origin=self.actor.origin, token=token, target=target, job=job, detail=detail)

    def schedules(self) -> list[Facts]:
        now = clock.now()
        return [schedule_json(row, now) for row in Schedule.objects.all()]

    def schedule(self, name: str) -> Facts:
        return schedule_json(_find(name), clock.now(), whole=True)

    def preview(self, timing: str, timezone: str | None) -> Facts:
        zone = timezone or usual_timezone()
        words, times = upcoming.preview(timing, zone, None, clock.now())
        return {"words": words, "timezone": zone, "next_times": [utc(one) for one in times]}

    def write(self, verb: str, name: str, given: Facts) -> Facts:
        with atomic():
            row = None if verb == "add" else _find(name, lock=True)
            for kind in {str(given.get("kind", "")), row.kind if row else ""} - {""}:
                needed = f"furrow.{verb}_schedule, {permissions.SUBMIT} and the kind's own permission"
                may = permissions.may_change_schedules(self.actor.user, verb, kind)
                self.actor.must(may, f"{verb} schedules of {kind}", needed)
            if row is not None and row.source == Schedule.Source.CODE:
                raise CommandError(f"{name} is declared in the code: change it there. Nothing was done.")
            made = written({"name": name, **given} if row is None else given, self.actor.user, row)
            self.write_down(verb, made, f"{made.kind}, {made.timing}")
        return schedule_json(made, clock.now(), whole=True)

    def act(self, verb: str, name: str, reason: str) -> bool:
        row = _find(name)
        if verb == "delete":
            may = permissions.may_delete_schedules(self.actor.user, row.kind)
            self.actor.must(may, f"delete {row.name}", "furrow.delete_schedule")
        else:
            needed = f"furrow.view_schedule, {permissions.VIEW} and {permissions.ACT}"
            self.actor.must(permissions.may_act_on_schedule(self.actor.user, row.kind), f"{verb} {row.name}", needed)
        with atomic():
            if verb == "delete":
                done = acting.delete(row)
            else:
                by = self.actor.user.get_username() if self.actor.user else self.actor.account
                done = acting.pause(row, by=by, reason=reason) if verb == "pause" else acting.resume(row)
            if done:
                self.write_down(verb, row, reason)
        return done

    def run(self, name: str) -> uuid.UUID:
        row = self._may_run(name)
        with atomic():
            job = acting.run_now(row, by=self.actor.user)
            self.write_down("run now", row, job=job)
        return job

    def missing(self, name: str, start: dt.datetime, end: dt.datetime | None) -> tuple[str, list[str]]:
        row = self._may_run(name)
        return row.kind, [str(utc(one)) for one in acting.missing(row, start, end or clock.now())]

    def backfill(self, name: str, start: dt.datetime, end: dt.datetime | None) -> list[uuid.UUID]:
        row, end, actor = self._may_run(name), end or clock.now(), self.actor
        with atomic():
            jobs = acting.backfill(row, start, end, by=self.actor.user)
            told, target = f"{start.isoformat()} to {end.isoformat()}", f"schedule {row.name}"
            who: Any = {"by": actor.by, "origin": actor.origin, "token": actor.token}
            audit("backfill", **who, target=target, ids=jobs, count=len(jobs), detail=told)
        return jobs

    def _may_run(self, name: str) -> Schedule:
        row = _find(name)
        needed = f"furrow.view_schedule and {permissions.SUBMIT}"
        self.actor.must(permissions.may_run_schedule(self.actor.user, row.kind), f"submit jobs of {row.name}", needed)
        return row


def _find(name: str, *, lock: bool = False) -> Schedule:
    rows = Schedule.objects.select_for_update() if lock else Schedule.objects.all()
    found = rows.filter(name=name).first()
    if found is None:
        known = Schedule.objects.values_list("name", flat=True)[:1_000]
        raise CommandError(f"There is no schedule {name!r}; {did_you_mean(name, known)}.")
    return found
