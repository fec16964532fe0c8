"""``manage.py furrow deploy-check``: would this code run what is in that database?"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from furrow.diagnosis.deploying import refused
from furrow.models.database import atomic, connection
from furrow.plural import counted


class Command(BaseCommand):
    """Exits with 1 when something would not run."""

    help = (
        "Look, with this code, at the jobs of the database that have not ended, and at its schedules and approvals: kinds and "
        "forms that are gone, arguments that do not fit any more, queues that are not served. Only reads; exits with 1 if "
        "there is any; of a permission that is gone it only warns."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """How much, and how it is said."""
        parser.add_argument("--limit", type=int, default=10_000, help="jobs of each kind that are looked at (default 10000)")
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, limit: int, json: bool, **options: Any) -> None:
        """Look, and say it."""
        with atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
            found, left = refused(max(1, limit))
        if json:
            self.stdout.write(_json([row._asdict() for row in found], left))
        else:
            for row in found:
                word = "could not be decided" if row.what == "approvals" else "would not run"
                word = "may wait for ever" if row.only_warned else word
                self.stdout.write(f"{row.name}: {counted(row.number, row.what.removesuffix('s'))} {word}: {row.reason}.")
                self.stdout.write(f"    such as {', '.join(row.examples)}")
            if left:
                self.stdout.write(f"Not looked at: {counted(left, 'more job')}. Raise --limit.")
            if not found:
                self.stdout.write("Whatever is in the database would run.")
        if any(not row.only_warned for row in found):
            raise SystemExit(1)


def _json(rows: list[dict[str, Any]], left: int) -> str:
    return json.dumps({"refused": rows, "not_looked_at": left}, indent=2)
