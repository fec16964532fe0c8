"""``furrow schedules``: the admin's powers over schedules on the command line, here or over the HTTP API of a project
elsewhere."""

import argparse
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from furrow.command import remote, rows
from furrow.command.output import Output
from furrow.command.schedules_there import SchedulesThere
from furrow.command.source import Schedules
from furrow.command.words import read_json, read_moment
from furrow.diagnosis.wording import in_its_zone
from furrow.errors import FurrowError
from furrow.plural import counted
from furrow.recurrence import RecurrenceError

if TYPE_CHECKING:
    from furrow.command.schedules_here import SchedulesHere

_NAMED = {
    "show": "one schedule: its next and last times",
    "add": "make one: its kind, timing, … as a JSON object",
    "change": "change one that people made: what changes as a JSON object",
    "pause": "fire no more",
    "resume": "go on with the next time",
    "run": "submit its job now",
    "backfill": "submit a job for each time of a span that has none",
    "delete": "delete one that the code does not declare",
}
#: What needs the project's code.
_AT_HOME = ("sync", "import-beat")


class Command(BaseCommand):
    """Exit codes: 0 done; 1 refused or nothing changed; 2 the command line is wrong."""

    help = "List, make, pause, resume, run and backfill schedules; take over those of Celery's beat."
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {"--version", "--verbosity", "--settings", "--pythonpath", "--no-color", "--force-color"}

    def add_arguments(self, parser: CommandParser) -> None:
        """A parser for each command."""
        shared = CommandParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="print JSON for programs; remarks go to standard error")
        shared.add_argument("--user", metavar="NAME", help="act as this user, with that user's permissions")
        remote.add_arguments(shared, argparse.SUPPRESS)
        remote.add_arguments(parser)
        parser.allow_abbrev = False  # or --to of a command would be taken for --token
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
        commands.add_parser("list", help="all schedules", parents=[shared])
        for name, text in _NAMED.items():
            own = commands.add_parser(name, help=text, parents=[shared], allow_abbrev=False)
            own.add_argument("name", metavar="NAME")
            if name in ("add", "change"):
                own.add_argument("given", metavar="JSON", help="- reads it from standard input")
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
            if server := remote.server(options, self.stderr.write):
                if command in _AT_HOME:
                    raise CommandError(f"{command} is not possible with --remote: it needs the project's code.")
                RUN[command](output, SchedulesThere(server), options)
            elif command in _AT_HOME:
                _at_home(output, _here(options["user"]), command, options)
            else:
                RUN[command](output, _here(options["user"]), options)
        except (FurrowError, RecurrenceError) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database refuses: {str(error).strip()}.") from None


def _here(user: str | None) -> "SchedulesHere":
    """Imported where there is a project alone."""
    from furrow.command.actor import find_actor
    from furrow.command.schedules_here import SchedulesHere

    return SchedulesHere(find_actor(user))


# --- Looking --------------------------------------------------------------------------------------------------------------


def _list(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    found = source.schedules()
    if output.as_json:
        output.json(found)
        return 0
    cells = [
        (one["name"], one["kind"], one["words"], one["condition"], _shown(one["next_at"] if one["condition"] == "on" else None))
        for one in found
    ]
    output.table(("name", "kind", "comes", "condition", "next"), cells)
    return 0


def _show(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    _tell(output, source.schedule(options["name"]))
    return 0


def _tell(output: Output, facts: dict[str, Any]) -> None:
    if output.as_json:
        output.json(facts)
        return
    hidden = ("id", "next_times", "last_times")
    told = {name: _shown(value) if name.endswith("_at") else value for name, value in facts.items() if name not in hidden}
    output.facts((name, value) for name, value in told.items() if value not in (None, "", {}))
    output.table(("next times",), [(_shown(moment),) for moment in facts["next_times"]])
    cells = [
        (_shown(one["due_at"]), one["became"], one["origin"], one["missed"] or "", one["job"]) for one in facts["last_times"]
    ]
    output.table(("last times", "became", "why", ">missed", "job"), cells)


def _preview(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    told = source.preview(options["timing"], options["timezone"])
    if output.as_json:
        output.json(told)
        return 0
    output.say(f"{told['words']} ({told['timezone']})")
    output.table(("next times",), [(_shown(moment),) for moment in told["next_times"]])
    return 0


def _shown(text: str | None) -> str:
    """A time in this machine's zone, which Django sets to the site's."""
    moment = rows.moment(text)
    return "" if moment is None else in_its_zone(moment.astimezone())


# --- Acting ---------------------------------------------------------------------------------------------------------------


def _write(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    _tell(output, source.write(options["verb"], options["name"], read_json(options["given"], "the schedule")))
    return 0


def _run(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    name = options["name"]
    job = source.run(name)
    output.json({"schedule": name, "job": job}) if output.as_json else output.say(f"{name}: job {job}.")
    return 0


def _act(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    verb, name = options["verb"], options["name"]
    done = source.act(verb, name, options.get("reason", ""))
    if output.as_json:
        output.json({"schedule": name, "action": verb, "changed": done})
    else:
        output.say(f"{verb} {name}: {'done' if done else 'nothing changed'}.")
    if not done:
        raise SystemExit(1)
    return 0


def _backfill(output: Output, source: Schedules, options: dict[str, Any]) -> int:
    name, start, end = options["name"], read_moment("--from", options["start"]), read_moment("--to", options["end"])
    assert start is not None
    if options["yes"]:
        jobs = source.backfill(name, start, end)
        told = f"{counted(len(jobs), 'job')} submitted."
        output.json({"schedule": name, "jobs": jobs}) if output.as_json else output.say(told)
        return 0
    kind, times = source.missing(name, start, end)
    if output.as_json:
        output.json({"schedule": name, "would_submit": len(times), "times": times})
    else:
        output.say(f"{counted(len(times), 'job')} of {kind} would be submitted; --yes does it.")
    return 0


def _at_home(output: Output, source: "SchedulesHere", command: str, options: dict[str, Any]) -> None:
    from furrow.command import schedules_at_home

    done = schedules_at_home.sync if command == "sync" else schedules_at_home.import_beat
    done(output, source, options)


def _verb(do: Any, verb: str) -> Any:
    return lambda output, source, options: do(output, source, {**options, "verb": verb})


#: What the commands do, but for those that need the project's code.
RUN: dict[str, Any] = {
    "list": _list,
    "show": _show,
    "preview": _preview,
    "run": _run,
    "backfill": _backfill,
    **{verb: _verb(_write, verb) for verb in ("add", "change")},
    **{verb: _verb(_act, verb) for verb in ("pause", "resume", "delete")},
}
