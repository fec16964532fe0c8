"""``manage.py furrow``: all commands of Furrow. The console script ``furrow`` is the same."""

import os
import sys
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from furrow.errors import did_you_mean

#: Each command: where it is, and its help.
COMMANDS = {
    "startproject": ("furrow.command.startproject", "create a Django project that uses Furrow"),
    "dev": ("furrow.dev.command", "run web, dispatcher, workers and Flower in one terminal; restarts them when code changes"),
    "dispatcher": ("furrow.command.dispatcher", "send due jobs to RabbitMQ, rescue, repair; one leads, others stand by"),
    "bridges": ("furrow.bridges.command", "turn messages of other programs' queues into jobs"),
    "replay": ("furrow.command.replay", "give a subscriber the events since a time again"),
    "jobs": ("furrow.command.jobs", "submit, list, follow and act on jobs"),
    "schedules": ("furrow.command.schedules", "list, make, pause and backfill schedules; take over those of Celery's beat"),
    "backfills": ("furrow.command.backfills", "start, watch, pause and cancel backfills: a job for each row of a table"),
    "canaries": ("furrow.command.canaries", "a share of a kind's jobs to workers of a new version: begin, compare, take back"),
    "deploy-check": ("furrow.command.deploy_check", "would this code run what is in the database? For before a deployment"),
    "adopt": ("furrow.command.adopt", "which Celery tasks are jobs, which are not and why, and what differs"),
    "mcp": ("furrow.assistant.command", "let an assistant look at jobs, and act if allowed (Model Context Protocol)"),
    "health": ("furrow.monitoring.health", "check a part: dispatcher, worker, stores"),
    "prove": ("furrow.prove.command", "prove the guarantees under faults; only in a clone of Furrow's repository"),
}


class Command(BaseCommand):
    """Hands on to one of them."""

    help = "Durable jobs. `furrow COMMAND --help` says more."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """The command's own words follow its name."""
        program, own, *words = argv
        if words and words[0] in COMMANDS:
            load(words[0]).run_from_argv([_called(program, own), *words])
            return
        if words and not words[0].startswith("-"):
            self.stderr.write(f"There is no command {words[0]!r}: {did_you_mean(words[0], COMMANDS)}.")
            sys.exit(2)
        super().run_from_argv([program, own, "--help"])

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """Under the name by which it was called."""
        parser = super().create_parser(prog_name, subcommand, **options)
        parser.prog = _called(prog_name, subcommand)
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """For the list of them."""
        commands = parser.add_subparsers(metavar="COMMAND", title="commands")
        for name, (_module, text) in COMMANDS.items():
            commands.add_parser(name, help=text, add_help=False)

    def handle(self, *args: Any, **options: Any) -> None:
        """Never called: see ``run_from_argv``."""


def _called(program: str, own: str) -> str:
    """``manage.py furrow``, or ``furrow``."""
    name = os.path.basename(program)
    return own if name == own else f"{name} {own}"


def load(name: str) -> BaseCommand:
    """One of the commands."""
    try:
        command: BaseCommand = import_module(COMMANDS[name][0]).Command()
    except ImportError as error:  # also where the project has a package of this name
        if (error.name or "").partition(".")[0] != "deploy":
            raise
        sys.exit(
            f"furrow {name} is not in the installed package: it needs a clone of Furrow's repository, where "
            f"`python manage.py furrow {name}` starts servers of its own."
        )
    return command
