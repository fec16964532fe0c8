"""``manage.py furrow adopt``: which Celery tasks of the project are jobs, which are not and why, and what would differ."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from furrow.adoption.report import report
from furrow.plural import counted
from furrow.rabbitmq.queues import project_app


class Command(BaseCommand):
    """Exits with 1 when a task that ``ADOPT`` names cannot be a job."""

    help = (
        "List the Celery tasks of the project: durable (a job), or plain and why, and what differs from Celery. Only reads; "
        "exits with 1 if a task that FURROW['ADOPT'] names stays plain against its will."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """How it is said."""
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        app = project_app()
        if not hasattr(app, "adopts"):
            raise CommandError(
                f"The project's Celery application, {app.main}, is Celery's own class: make it with "
                "`from furrow.celery import Celery`."
            )
        found = report(app)
        if options["json"]:
            self.stdout.write(json.dumps([one._asdict() for one in found], indent=2))
        else:
            for one in found:
                self.stdout.write(f"{one.name}: {'durable' if one.durable else f'plain: {one.reason}'}")
                for text in one.differs:
                    self.stdout.write(f"    differs: {text}")
            durable = sum(one.durable for one in found)
            self.stdout.write(f"{counted(durable, 'task')} of {len(found):,} are jobs.")
        if any(one.refused for one in found):
            raise SystemExit(1)
