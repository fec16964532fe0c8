"""``manage.py furrow canaries``: a share of a kind's jobs goes to workers of a new version first."""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.actions.steps import unpin
from furrow.command.actor import Actor, find_actor
from furrow.command.output import Output
from furrow.command.words import read_ids
from furrow.diagnosis import wording
from furrow.errors import FurrowError, did_you_mean
from furrow.models import Canary, Job
from furrow.models.database import atomic
from furrow.releases import acting
from furrow.releases.comparing import NAMED, Fared, compare


class Command(BaseCommand):
    """Exit codes: 0 done; 1 refused or nothing changed; 2 the command line is wrong."""

    help = "A share of a kind's jobs to workers of a new version (FURROW_VERSION): begin, compare, widen, take back."
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {"--version", "--verbosity", "--settings", "--pythonpath", "--no-color", "--force-color"}

    def add_arguments(self, parser: CommandParser) -> None:
        """A parser for each command."""
        shared = CommandParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="print JSON for programs; remarks go to standard error")
        shared.add_argument("--user", metavar="NAME", help="act as this user, with that user's permissions")
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
        commands.add_parser("list", help="all canaries", parents=[shared])
        own = commands.add_parser("put", help="begin one, or give it another share", parents=[shared])
        own.add_argument("kind", metavar="KIND")
        own.add_argument("code_version", metavar="VERSION", help="FURROW_VERSION of the workers that get the share")
        own.add_argument("share", metavar="SHARE", type=float, help="from 0 to 1, such as 0.1")
        named = {"show": "how its version fares beside the others", "take-back": "any worker runs the kind again"}
        for name, text in named.items():
            commands.add_parser(name, help=text, parents=[shared]).add_argument("kind", metavar="KIND")
        own = commands.add_parser("release", help="let any worker go on with a job of a pinned kind", parents=[shared])
        own.add_argument("job", metavar="JOB", help="its id")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        """Run the command; every refusal is one clear line."""
        output = Output(self.stdout, self.stderr, as_json=options["json"])
        try:
            actor = find_actor(options["user"])
            actor.must(permissions.may_see(actor.user, "canary"), "see canaries", "furrow.view_canary")
            _RUN[command](output, actor, options)
        except FurrowError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database refuses: {str(error).strip()}.") from None


def _must_change(actor: Actor, kind: str) -> None:
    may = permissions.may_change_canaries(actor.user, kind)
    actor.must(may, f"change the canary of {kind}", "furrow.change_canary, and what acting on its jobs needs")


def _list(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    rows = list(Canary.objects.all())
    if output.as_json:
        output.json([{"kind": row.kind, "version": row.version, "share": row.share, "since": row.started_at} for row in rows])
        return
    cells = [(row.kind, row.version, f"{row.share:.0%}", wording.exact(row.started_at)) for row in rows]
    output.table(("kind", "version", ">share", "since"), cells)


def _show(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    row = Canary.objects.filter(kind=options["kind"]).first()
    if row is None:
        known = Canary.objects.values_list("kind", flat=True)
        raise CommandError(f"{options['kind']} has no canary; {did_you_mean(options['kind'], known)}.")
    fared = compare(row)
    if output.as_json:
        output.json({"kind": row.kind, "version": row.version, "share": row.share, "fared": [_facts(one) for one in fared]})
        return
    cells = [(one.version or "(none)", one.runs, f"{one.unwell:.1%}", wording.span(one.middle), _errors(one)) for one in fared]
    output.table(("version", ">runs", ">not well", ">median", "errors"), cells)


def _facts(one: Fared) -> dict[str, Any]:
    errors = dict(one.errors.most_common(NAMED))
    return {"version": one.version, "runs": one.runs, "outcomes": one.outcomes, "median": one.middle, "errors": errors}


def _errors(one: Fared) -> str:
    return ", ".join(f"{name} ({number:,})" for name, number in one.errors.most_common(NAMED))


def _put(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    _must_change(actor, options["kind"])
    with atomic():
        row = acting.put(options["kind"], options["code_version"], options["share"])
        audit("canary", by=actor.by, origin=actor.origin, target=f"kind {row.kind}", detail=str(row))
    output.json({"kind": row.kind, "version": row.version, "share": row.share}) if output.as_json else output.say(f"{row}.")


def _take_back(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    _must_change(actor, options["kind"])
    with atomic():
        if done := acting.take_back(options["kind"]):
            audit("take back canary", by=actor.by, origin=actor.origin, target=f"kind {options['kind']}")
    output.json({"changed": done}) if output.as_json else output.say("Taken back." if done else "It has no canary.")
    if not done:
        raise SystemExit(1)


def _release(output: Output, actor: Actor, options: dict[str, Any]) -> None:
    (id,) = read_ids([options["job"]]) or [uuid.UUID(int=0)]
    job = Job.objects.filter(pk=id).only("kind").first()
    if job is None:
        raise CommandError(f"There is no job {id}.")
    needed = f"{permissions.VIEW} and {permissions.ACT}"
    actor.must(permissions.may_act(actor.user, job.kind), f"act on {job.kind}", needed)
    with atomic():
        if done := unpin(id, by=str(actor.by)):
            audit("release", by=actor.by, origin=actor.origin, target=f"job {job.kind}", job=id)
    output.json({"changed": done}) if output.as_json else output.say("Released." if done else "It has ended, or runs.")
    if not done:
        raise SystemExit(1)


_RUN: dict[str, Any] = {"list": _list, "show": _show, "put": _put, "take-back": _take_back, "release": _release}
