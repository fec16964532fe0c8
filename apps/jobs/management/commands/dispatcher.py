"""``manage.py dispatcher``: the process that hands due jobs to RabbitMQ."""

import signal
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand

from apps.jobs.dispatcher.process import Dispatcher


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT."""

    help = "Dispatch due jobs, rescue jobs of dead workers, repair drift. Run one or more; one leads, the others stand by."
    # Those of the pages would load the pages.
    requires_system_checks = [Tags.compatibility, Tags.database, Tags.models]

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the dispatcher."""
        dispatcher = Dispatcher()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: dispatcher.stop())
        dispatcher.run()
