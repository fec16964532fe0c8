"""``manage.py furrow mcp``: an assistant's door to jobs, over standard input and output."""

import logging
from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from furrow.assistant.package import MISSING, protocol
from furrow.assistant.tools import Door
from furrow.command.actor import find_actor
from furrow.models.audit_entry import Origin

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
        server = protocol()
        if server is None:
            raise CommandError(MISSING)
        actor = partial(find_actor, user, Origin.ASSISTANT)
        try:
            actor()
        except DatabaseError as error:  # each call looks again
            logger.warning("The database is away (%s); whether there is this user is seen later.", str(error).strip())
        server.serve(Door(actor, ["read", *allow], "`furrow mcp --allow {scope} --user NAME`"))
