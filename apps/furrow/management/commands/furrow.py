"""``manage.py furrow``: everything that Furrow has for the command line. The console script ``furrow`` is the same."""

import sys
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from furrow.errors import did_you_mean

#: Each command: where it is, and its help.
COMMANDS = {
    "dispatcher": ("furrow.command.dispatcher", "hand due jobs to RabbitMQ, rescue, repair; one leads, the others stand by"),
    "jobs": ("furrow.command.jobs", "submit jobs, look at them, follow them, act on them"),
    "health": ("furrow.monitoring.health", "say whether a part works: dispatcher, worker, stores"),
    "prove": ("furrow.prove.command", "prove the guarantees here, on a private copy under faults"),
}


class Command(BaseCommand):
    """Hands on to one of them."""

    help = "Durable jobs. `furrow COMMAND --help` says more."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """The command's own words follow its name."""
        program, own, *words = argv
        if words and words[0] in COMMANDS:
            load(words[0]).run_from_argv([f"{program} {own}", *words])
            return
        if words and not words[0].startswith("-"):
            self.stderr.write(f"There is no command {words[0]!r}: {did_you_mean(words[0], COMMANDS)}.")
            sys.exit(2)
        super().run_from_argv([program, own, "--help"])

    def add_arguments(self, parser: CommandParser) -> None:
        """For the list of them."""
        commands = parser.add_subparsers(metavar="COMMAND", title="commands")
        for name, (_module, text) in COMMANDS.items():
            commands.add_parser(name, help=text, add_help=False)

    def handle(self, *args: Any, **options: Any) -> None:
        """Never called: see ``run_from_argv``."""


def load(name: str) -> BaseCommand:
    """One of the commands."""
    try:
        command: BaseCommand = import_module(COMMANDS[name][0]).Command()
    except ModuleNotFoundError as error:
        if error.name != "deploy":
            raise
        sys.exit(f"furrow {name} starts stores of its own, with what only Furrow's repository has: clone it and run it there.")
    return command
