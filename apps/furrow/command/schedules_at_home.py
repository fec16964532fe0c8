"""What is done to schedules where the project's code is: sync, and taking over those of Celery's beat."""

from typing import Any

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.command.output import Output
from furrow.command.schedules_here import SchedulesHere
from furrow.plural import counted
from furrow.schedules import beat
from furrow.schedules.sync import sync as write_down


def sync(output: Output, source: SchedulesHere, options: dict[str, Any]) -> None:
    """Write what the code declares into the table."""
    actor = source.actor
    may = permissions.may_change_schedules(actor.user, "change")
    source.actor.must(may, "sync schedules", "furrow.change_schedule")
    done = write_down(dry=options["dry_run"])
    if done and not options["dry_run"]:
        audit("sync", by=actor.by, origin=actor.origin, target="schedules of the code", detail=str(done))
    output.json(vars(done)) if output.as_json else output.say(f"{done}."[:1].upper() + f"{done}."[1:])


def import_beat(output: Output, source: SchedulesHere, options: dict[str, Any]) -> None:
    """Take over the schedules of Celery's beat, or say what that would do."""
    user = source.actor.user
    source.actor.must(permissions.may_change_schedules(user, "add"), "add schedules", "furrow.add_schedule")
    found = beat.entries()
    for entry in found:
        if entry.row is not None:
            may = permissions.may_change_schedules(user, "add", entry.row.kind)
            source.actor.must(may, f"add {entry.name}", "its kind's own permission")
    for row in (taken := beat.take_over(found) if options["yes"] else []):
        source.write_down("import", row, f"{row.kind}, {row.timing}")
    if output.as_json:
        output.json([{"name": e.name, "from": e.source, "timing": e.row and e.row.timing, "problem": e.problem} for e in found])
        return
    cells = [
        (e.name, e.source, e.row.kind if e.row else "", e.row.timing if e.row else "", e.problem or e.remark) for e in found
    ]
    output.table(("name", "from", "kind", "timing", "remark"), cells)
    many = counted(sum(entry.row is not None for entry in found), "schedule")
    output.say(f"{many} imported. Switch them off in beat." if taken else f"{many} would be imported; --yes does it.")
