"""``manage.py furrow schedules``: the admin's powers over schedules on the command line."""

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.command.actor import Actor, find_actor
from furrow.command.output import Output
from furrow.command.words import read_moment
from furrow.diagnosis.wording import exact
from furrow.errors import FurrowError, did_you_mean
from furrow.models import Schedule
from furrow.plural import counted
from furrow.recurrence import RecurrenceError
from furrow.schedules import acting, as_json, beat, upcoming
from furrow.schedules.rows import usual_timezone
from furrow.schedules.sync import sync
from furrow.statements import clock

_NAMED = {
    "show": "one schedule: its next and last times",
    "pause": "fire no more",
    "resume": "go on with the next time",
    "run": "submit its job now",
    "backfill": "submit a job for each time of a span that has none",
    "delete": "delete one that the code does not declare",
}


class Command(BaseCommand):
    """Exit codes: 0 done; 1 refused or nothing changed; 2 the command line is wrong."""

    help = "List, pause, resume, run and backfill schedules; take over those of Celery's beat."
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {"--version", "--verbosity", "--settings", "--pythonpath", "--no-color", "--force-color"}

    def add_arguments(self, parser: CommandParser) -> None:
        """A parser for each command."""
        shared = CommandParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="print JSON for programs; remarks go to standard error")
        shared.add_argument("--user", metavar="NAME", help="act as this user, with that user's permissions")
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
        commands.add_parser("list", help="all schedules", parents=[shared])
        for name, text in _NAMED.items():
            own = commands.add_parser(name, help=text, parents=[shared])
            own.add_argument("name", metavar="NAME")
            if name == "pause":
                own.add_argument("--reason", default="", help="shown wherever the schedule is")
            if name == "backfill":
                own.add_argument("--from", dest="start", required=True, metavar="TIME", help="such as 2026-01-31T13:45")
                own.add_argument("--to", dest="end", metavar="TIME", help="default: now")
                own.add_argument("--yes", action="store_true", help="do it; without this it says how many jobs that makes")
        own = commands.add_parser("preview", help="what a text means: in words, and the next times", parents=[shared])
        own.add_argument("timing", metavar="TIMING", help="such as '0 3 * * *' or '@every 90s'")
        own.add_argument("--timezone", default=None, metavar="ZONE", help="of its hours")
        own = commands.add_parser("sync", help="write what the code declares into the table now", parents=[shared])
        own.add_argument("--dry-run", action="store_true", help="only say what that would do")
        own = commands.add_parser("import-beat", help="take over the schedules of Celery's beat", parents=[shared])
        own.add_argument("--yes", action="store_true", help="do it; without this it says what it would do")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        """Run the command; every refusal is one clear line."""
        output = Output(self.stdout, self.stderr, as_json=options["json"])
        try:
            actor = find_actor(options["user"])
            _must(actor, permissions.may_see(actor.user, "schedule"), "see schedules", "furrow.view_schedule")
            _RUN[command](output, actor, options)
        except (FurrowError, RecurrenceError) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database refuses: {str(error).strip()}.") from None


def _must(actor: Actor, may: bool, what: str, needed: str) -> None:
    """Raises CommandError unless it may; the shell's own account may do everything."""
    if actor.user is not None and not may:
        raise CommandError(f"{actor.user} may not {what}: that needs {needed}. Nothing was done.")


def _find(name: str) -> Schedule:
    found = Schedule.objects.filter(name=name).first()
    if found is None:
        known = Schedule.objects.values_list("name", flat=True)[:1_000]
        raise CommandError(f"There is no schedule {name!r}; {did_you_mean(name, known)}.")
    return found


# --- Looking --------------------------------------------------------------------------------------------------------------


def _list(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    rows, now = list(Schedule.objects.all()), clock.now()
    if output.as_json:
        output.json([as_json.schedule(row, now) for row in rows])
        return
    cells = [(row.name, row.kind, upcoming.words(row), upcoming.condition(row), _shown(row.fire_at)) for row in rows]
    output.table(("name", "kind", "comes", "condition", "next"), cells)


def _show(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    row, now = _find(options["name"]), clock.now()
    facts = as_json.schedule(row, now, whole=True)
    if output.as_json:
        output.json(facts)
        return
    hidden = ("next_times", "last_times")
    output.facts((name, value) for name, value in facts.items() if name not in hidden and value not in (None, "", {}))
    output.table(("next times",), [(_shown(moment),) for moment in upcoming.next_times(row, now)])
    cells = [
        (_shown(one["due_at"]), one["became"], one["origin"], one["missed"] or "", one["job"]) for one in facts["last_times"]
    ]
    output.table(("last times", "became", "why", ">missed", "job"), cells)


def _preview(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    zone = options["timezone"] or usual_timezone()
    words, times = upcoming.preview(options["timing"], zone, None, clock.now())
    if output.as_json:
        output.json({"words": words, "timezone": zone, "next_times": times})
        return
    output.say(f"{words} ({zone})")
    output.table(("next times",), [(_shown(moment),) for moment in times])


def _shown(moment: dt.datetime | None) -> str:
    return "" if moment is None else exact(timezone.localtime(moment))


# --- Acting ---------------------------------------------------------------------------------------------------------------


def _act(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    verb, row = options["verb"], _find(options["name"])
    if verb == "run":
        _may_run(actor, row)
        job = acting.run_now(row)
        audit("run now", by=actor.by, origin=actor.origin, target=f"schedule {row.name}", job=job)
        output.json({"schedule": row.name, "job": job}) if output.as_json else output.say(f"{row.name}: job {job}.")
        return
    if verb == "delete":
        _must(actor, permissions.may_delete_schedules(actor.user, row.kind), f"delete {row.name}", "furrow.delete_schedule")
        done, reason = acting.delete(row), ""
    else:
        needed = f"furrow.view_schedule, {permissions.VIEW} and {permissions.ACT}"
        _must(actor, permissions.may_act_on_schedule(actor.user, row.kind), f"{verb} {row.name}", needed)
        reason = options.get("reason", "")
        by = actor.user.get_username() if actor.user else actor.account
        done = acting.pause(row, by=by, reason=reason) if verb == "pause" else acting.resume(row)
    if done:
        audit(verb, by=actor.by, origin=actor.origin, target=f"schedule {row.name}", detail=reason)
    if output.as_json:
        output.json({"schedule": row.name, "action": verb, "changed": done})
    else:
        output.say(f"{verb} {row.name}: {'done' if done else 'nothing changed'}.")
    if not done:
        raise SystemExit(1)


def _backfill(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    row = _find(options["name"])
    _may_run(actor, row)
    start, end = read_moment("--from", options["start"]), read_moment("--to", options["end"]) or clock.now()
    assert start is not None
    if options["yes"]:
        jobs = acting.backfill(row, start, end)
        told = f"{start.isoformat()} to {end.isoformat()}"
        target = f"schedule {row.name}"
        audit("backfill", by=actor.by, origin=actor.origin, target=target, ids=jobs, count=len(jobs), detail=told)
        output.json({"schedule": row.name, "jobs": jobs}) if output.as_json else output.say(
            f"{counted(len(jobs), 'job')} submitted."
        )
        return
    times = acting.missing(row, start, end)
    if output.as_json:
        output.json({"schedule": row.name, "would_submit": len(times), "times": times})
    else:
        output.say(f"{counted(len(times), 'job')} of {row.kind} would be submitted; --yes does it.")


def _may_run(actor: Actor, row: Schedule) -> None:
    needed = f"furrow.view_schedule and {permissions.SUBMIT}"
    _must(actor, permissions.may_run_schedule(actor.user, row.kind), f"submit jobs of {row.name}", needed)


def _sync(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    _must(actor, permissions.may_change_schedules(actor.user, "change"), "sync schedules", "furrow.change_schedule")
    done = sync(dry=options["dry_run"])
    if done and not options["dry_run"]:
        audit("sync", by=actor.by, origin=actor.origin, target="schedules of the code", detail=str(done))
    output.json(vars(done)) if output.as_json else output.say(f"{done}."[:1].upper() + f"{done}."[1:])


def _import_beat(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    _must(actor, permissions.may_change_schedules(actor.user, "add"), "add schedules", "furrow.add_schedule")
    found = beat.entries()
    for entry in found:
        if actor.user is not None and entry.row is not None:
            may = permissions.may_change_schedules(actor.user, "add", entry.row.kind)
            _must(actor, may, f"add {entry.name}", "its kind's own permission")
    rows = beat.take_over(found) if options["yes"] else []
    for row in rows:
        audit("import", by=actor.by, origin=actor.origin, target=f"schedule {row.name}", detail=f"{row.kind}, {row.timing}")
    if output.as_json:
        output.json([{"name": e.name, "from": e.source, "timing": e.row and e.row.timing, "problem": e.problem} for e in found])
        return
    cells = [
        (e.name, e.source, e.row.kind if e.row else "", e.row.timing if e.row else "", e.problem or e.remark) for e in found
    ]
    output.table(("name", "from", "kind", "timing", "remark"), cells)
    many = counted(sum(entry.row is not None for entry in found), "schedule")
    output.say(f"{many} imported. Switch them off in beat." if rows else f"{many} would be imported; --yes does it.")


def _verb(verb: str) -> Any:
    return lambda output, actor, options: _act(output, actor, {**options, "verb": verb})


_RUN: dict[str, Any] = {
    "list": _list,
    "show": _show,
    "preview": _preview,
    "backfill": _backfill,
    "sync": _sync,
    "import-beat": _import_beat,
    **{verb: _verb(verb) for verb in ("pause", "resume", "run", "delete")},
}
