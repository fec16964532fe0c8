"""``manage.py furrow replay``: give a subscriber events again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from furrow.command.choosing import moment_or_span
from furrow.command.words import read_moment
from furrow.errors import FurrowError
from furrow.events.replay import replay
from furrow.plural import counted
from furrow.statements import clock


class Command(BaseCommand):
    """Exits with 1 and says why, if it cannot."""

    help = "Send a subscriber the events since a time again, in their order. Those that it has made a job of make none."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which one, and since when."""
        parser.add_argument("kind", help="the name of the subscriber's kind")
        parser.add_argument("--since", metavar="WHEN", required=True, help="a time, or in the last 90s, 15m, 2h, 7d")

    def handle(self, *args: Any, kind: str, since: str, **options: Any) -> None:
        """Send them."""
        moment = read_moment("--since", moment_or_span(since, clock.now))
        assert moment is not None
        try:
            sent = replay(kind, moment)
        except FurrowError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{counted(sent, 'event')} sent to {kind}.")
