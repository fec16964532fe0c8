"""``manage.py furrow mcp``: an assistant's door to jobs, over standard input and output."""

import logging
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from furrow.assistant.tools import Door
from furrow.command.actor import find_actor

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Runs until the assistant closes its end. Standard output is the protocol's; all else goes to standard error."""

    help = "Let an assistant look at jobs over the Model Context Protocol. Read-only unless --allow says otherwise."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """As whom, and what."""
        parser.add_argument("--user", metavar="NAME", help="act as this user, with that user's permissions")
        parser.add_argument(
            "--allow",
            action="append",
            choices=["act", "submit"],
            default=[],
            help="also let it act on jobs and queues, or submit jobs; may be repeated; needs --user",
        )

    def handle(self, *args: Any, user: str | None, allow: list[str], **options: Any) -> None:
        """Serve."""
        if allow and not user:
            raise CommandError(
                f"--allow {allow[0]} needs --user: whoever acts is named in the audit log. Make a user for the assistant, with "
                "just the permissions that it shall have."
            )
        try:
            from furrow.assistant.server import serve
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
                raise
            raise CommandError("The package mcp is not installed: pip install 'furrow-jobs[mcp]'.") from None
        try:
            find_actor(user)
        except DatabaseError as error:  # each call looks again
            logger.warning("The database is away (%s); whether there is this user is seen later.", str(error).strip())
        serve(Door(user, frozenset(["read", *allow])))
