"""``manage.py furrow replay``: give a subscriber or a webhook events again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from furrow.command.choosing import moment_or_span
from furrow.command.words import read_moment
from furrow.errors import FurrowError
from furrow.events.replay import replay
from furrow.plural import counted
from furrow.statements import clock
from furrow.webhooks import deliveries


class Command(BaseCommand):
    """Exits with 1 and says why, if it cannot."""

    help = "Send a subscriber, or a webhook, events since a time again, in order. Those of which there is a job make none."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which one, and since when."""
        to = parser.add_mutually_exclusive_group(required=True)
        to.add_argument("kind", nargs="?", help="the name of the subscriber's kind")
        to.add_argument("--webhook", metavar="NAME", help="the name of a webhook")
        parser.add_argument("--since", metavar="WHEN", required=True, help="a time, or in the last 90s, 15m, 2h, 7d")

    def handle(self, *args: Any, kind: str | None, webhook: str | None, since: str, **options: Any) -> None:
        """Send them."""
        moment = read_moment("--since", moment_or_span(since, clock.now))
        assert moment is not None
        try:
            sent = deliveries.replay(str(webhook), moment) if kind is None else replay(kind, moment)
        except FurrowError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{counted(sent, 'event')} sent to {f'webhook {webhook}' if kind is None else kind}.")
