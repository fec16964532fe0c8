"""``manage.py furrow jobs``: submit, list, follow and act on jobs."""

import argparse
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from furrow.command import acting, approvals, looking, remote, steps, submitting, tailing, workflows
from furrow.command.intermixed import allow_intermixed
from furrow.command.output import Output
from furrow.command.source import Source
from furrow.errors import FurrowError, did_you_mean

#: Each command: what adds its arguments, what runs it, its help.
COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "kinds": (looking.add_kinds_arguments, looking.kinds, "the kinds of job, or one with its arguments"),
    "submit": (submitting.add_arguments, submitting.run, "submit one job, or many from a file"),
    "list": (looking.add_list_arguments, looking.jobs, "the newest jobs that meet all conditions"),
    "show": (looking.add_show_arguments, looking.show, "one job: facts, attempts, arguments, result"),
    "tail": (tailing.add_arguments, tailing.run, "follow a job's log until it ends"),
    "stats": (looking.add_stats_arguments, looking.stats, "queues, kinds of the last hour, and workers"),
    **acting.COMMANDS,
    **steps.COMMANDS,
    **workflows.COMMANDS,
    **approvals.COMMANDS,
}


class Command(BaseCommand):
    """Exit codes: 0 done; 1 refused, nothing was done; 2 the command line is wrong; 3 a job that was waited for did not
    succeed; 4 it had not ended in time."""

    help = "Submit, list, follow and act on jobs. `jobs COMMAND --help` shows the options."
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {"--version", "--verbosity", "--settings", "--pythonpath", "--no-color", "--force-color"}

    def add_arguments(self, parser: CommandParser) -> None:
        """A parser for each command."""
        parser.description = f"{self.help} {type(self).__doc__}"
        shared = CommandParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="print JSON for programs; remarks go to standard error")
        shared.add_argument("--user", metavar="NAME", help="act as this user, with that user's permissions")
        remote.add_arguments(shared, argparse.SUPPRESS)
        remote.add_arguments(parser)
        parser.allow_abbrev = False  # or --to of a command would be taken for --token
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
        for name, (add, _run, text) in COMMANDS.items():
            own = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".", parents=[shared])
            add(own)
            allow_intermixed(own)

    def run_from_argv(self, argv: list[str]) -> None:
        """A command that is misspelt gets a hint, one that is missing the list."""
        word = argv[2] if len(argv) > 2 else ""
        if word and not word.startswith("-") and word not in COMMANDS:
            self.stderr.write(f"There is no command {word!r}: {did_you_mean(word, COMMANDS)}.")
            sys.exit(2)
        super().run_from_argv(argv if word else [*argv[:2], "--help"])

    def handle(self, *args: Any, command: str | None = None, **options: Any) -> None:
        """Run the command; every refusal is one clear line."""
        if command is None:
            raise CommandError(f"Give a command: {', '.join(COMMANDS)}.", returncode=2)
        output = Output(self.stdout, self.stderr, as_json=options["json"])
        try:
            source = remote.remote(options, self.stderr.write) or _here(options["user"])
            code = COMMANDS[command][1](output, source, options)
        except FurrowError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            text = str(error).strip()
            raise CommandError(
                f"The database refuses: {text}. Check that it is the right database and that `manage.py migrate` has run."
            ) from None
        except KeyboardInterrupt:
            output.say("No longer following; the job continues.")
            sys.exit(130)
        except BrokenPipeError:  # | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        if code:
            sys.exit(code)


def _here(user: str | None) -> Source:
    """Imported where there is a project alone."""
    from furrow.command.actor import find_actor
    from furrow.command.here import Here

    return Here(find_actor(user))
