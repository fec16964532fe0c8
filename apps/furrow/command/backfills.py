"""``manage.py furrow backfills``: the admin's powers over backfills on the command line."""

import json
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.backfills import acting, declared
from furrow.backfills.progress import as_json
from furrow.command.actor import Actor, find_actor
from furrow.command.output import Output
from furrow.command.words import read_json
from furrow.diagnosis import wording
from furrow.errors import FurrowError
from furrow.models import Backfill
from furrow.models.database import atomic
from furrow.plural import counted
from furrow.statements import clock

_ACTS = {
    "pause": "add no more jobs; those that were added go on",
    "resume": "go on where it was",
    "cancel": "end it, with its jobs that have not ended",
    "retry": "run its jobs again that failed",
}


class Command(BaseCommand):
    """Exit codes: 0 done; 1 refused or nothing changed; 2 the command line is wrong."""

    help = "A job for each row of a table: preview, start, watch, pause, resume and cancel backfills."
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {"--version", "--verbosity", "--settings", "--pythonpath", "--no-color", "--force-color"}

    def add_arguments(self, parser: CommandParser) -> None:
        """A parser for each command."""
        shared = CommandParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="print JSON for programs; remarks go to standard error")
        shared.add_argument("--user", metavar="NAME", help="act as this user, with that user's permissions")
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
        commands.add_parser("list", help="what the code declares, and what was started", parents=[shared])
        for name, text in {"preview": "how many rows and jobs it would be", "start": "start it"}.items():
            own = commands.add_parser(name, help=text, parents=[shared])
            own.add_argument("name", metavar="NAME", help="of a declaration")
            own.add_argument("--json-args", metavar="JSON", help="its parameters, as a JSON object")
            own.add_argument("--rate", metavar="RATE", help="such as 100/s; else the declared one")
            own.add_argument("--max-failures", type=float, metavar="N", help="else the declared number")
        for name, text in {"show": "one of them", **_ACTS}.items():
            own = commands.add_parser(name, help=text, parents=[shared])
            own.add_argument("which", metavar="WHICH", help="its id, or the name, of which the last one is meant")
            if name in ("pause", "cancel"):
                own.add_argument("--reason", default="", help="shown wherever it is")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        """Run the command; every refusal is one clear line."""
        output = Output(self.stdout, self.stderr, as_json=options["json"])
        try:
            actor = find_actor(options["user"])
            actor.must(permissions.may_see(actor.user, "backfill"), "see backfills", "furrow.view_backfill")
            {"list": _list, "show": _show, "preview": _preview, "start": _start}.get(command, _act)(
                output, actor, {**options, "verb": command}
            )
        except FurrowError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database refuses: {str(error).strip()}.") from None


def _find(text: str) -> Backfill:
    try:
        found = Backfill.objects.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        found = Backfill.objects.filter(name=text).first()
    if found is None:
        raise CommandError(f"No backfill {text!r} was started; furrow backfills list shows all.")
    return found


def _list(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    now, names = clock.now(), [one.name for one in declared.all_backfills()]
    rows = [as_json(row, now) for row in Backfill.objects.all()[:200]]
    if output.as_json:
        output.json({"declared": names, "started": rows})
        return
    output.table(("declared", "kind"), [(one.name, one.kind.name) for one in declared.all_backfills()])
    cells = [(one["id"], one["name"], one["state"], one["rows"], _share(one), one["failed"], one["reason"]) for one in rows]
    output.table(("id", "name", "state", ">rows", ">share", ">failed", "reason"), cells)


def _share(facts: dict[str, Any]) -> str:
    return "" if facts["share"] is None else f"{facts['share']:.0%}"


def _show(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    facts = as_json(_find(options["which"]), clock.now())
    if output.as_json:
        output.json(facts)
        return
    facts |= {"share": _share(facts), "seconds_left": wording.span(facts["seconds_left"]) if facts["seconds_left"] else None}
    output.facts((name.replace("_", " "), _told(value)) for name, value in facts.items() if value not in (None, "", {}))


def _told(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict) else str(value)


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("rate", "max_failures") if options[name] is not None}


def _preview(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    one = declared.get_backfill(options["name"])
    found = acting.preview(one.rows(one.kept(read_json(options["json_args"]))), one.plan.changed(**_changes(options)))
    if output.as_json:
        output.json({"name": one.name, "kind": one.kind.name, **vars(found)})
        return
    more = "more than " if found.more else ""
    output.say(f"{more}{counted(found.rows, 'row')}: {more}{counted(found.jobs, 'job')} of {one.kind.name}.")
    if found.example is not None:
        output.say(f"From {found.first} to {found.last}; the first with {json.dumps(found.example)}.")


def _start(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    one = declared.get_backfill(options["name"])
    needed = f"furrow.view_backfill, {permissions.SUBMIT} and what the kind asks for"
    actor.must(permissions.may_start_backfill(actor.user, one.kind), f"start {one.name}", needed)
    parameters = read_json(options["json_args"])
    with atomic():
        row = declared.start(one.name, parameters, submitted_by=actor.user, changes=_changes(options))
        audit("start", by=actor.by, origin=actor.origin, target=f"backfill {row.name}", detail=_told(row.parameters))
    if output.as_json:
        output.json(as_json(row, clock.now()))
    else:
        output.say(
            f"{row.name}: backfill {row.pk} of {'many rows' if row.total is None else counted(row.total, 'row')} started."
        )


def _act(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    row, verb = _find(options["which"]), options["verb"]
    needed = f"furrow.view_backfill, {permissions.VIEW}, {permissions.ACT} and what the kind asks for"
    actor.must(permissions.may_act_on_backfill(actor.user, row.kind), f"{verb} {row.name}", needed)
    reason = options.get("reason", "")
    changed = int(acting.ACTS[verb](row, **({"reason": reason} if reason else {})))
    if changed:
        audit(verb, by=actor.by, origin=actor.origin, target=f"backfill {row.name}", count=changed, detail=reason)
    if output.as_json:
        output.json({"backfill": row.pk, "action": verb, "changed": changed})
    elif verb == "retry":
        output.say(f"{counted(changed, 'job')} of {row.name} run again.")
    else:
        output.say(f"{verb} {row.name}: {'done' if changed else 'nothing changed'}.")
    if not changed:
        raise SystemExit(1)
