"""``manage.py furrow bridges``: the process that makes jobs of other programs' messages."""

import logging
import os
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError

from furrow.bridge import Bridge
from furrow.bridges.process import Bridges
from furrow.diagnosis import troubles
from furrow.errors import UnknownKind
from furrow.events.subscribers import all_bridges
from furrow.external.requests import requests
from furrow.worker.intake import readable

logger = logging.getLogger(__name__)

_ENDS = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT."""

    help = "Make jobs of the messages of other programs' queues (FURROW['BRIDGES']). Run one or more; they share the work."
    requires_system_checks = [Tags.compatibility, Tags.database, Tags.models]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """For who does not know whether there are any."""
        text = "end with exit code 0 where no bridge is named and no kind subscribes; else that is an error"
        parser.add_argument("--if-any", action="store_true", help=text)

    def handle(self, *args: Any, if_any: bool = False, **options: Any) -> None:
        """Run the bridges."""
        if not all_bridges() and not requests():
            if if_any:
                self.stdout.write(
                    "No bridge is named, no kind subscribes to events, no worker may ask over AMQP: nothing to do."
                )
                return
            raise CommandError(
                "FURROW['BRIDGES'] names no bridge, no kind subscribes to events, and no worker may ask over AMQP "
                "(FURROW['EXTERNAL_OVER_AMQP']): there is nothing to do. docs/bridges.md, docs/events.md and "
                "docs/other_languages.md show how."
            )
        try:
            run(all_bridges())
        except UnknownKind as error:
            raise CommandError(f"FURROW['BRIDGES']: {error}") from None


def run(bridges: Sequence[Bridge]) -> None:
    """Read these until SIGTERM or SIGINT.

    Raises:
        UnknownKind: a bridge names no kind.
    """
    troubles.watch_threads()
    readable.install()
    process = Bridges(bridges)
    logger.info("Reading %s.", ", ".join(bridge.queue for bridge in bridges))
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    threading.Thread(target=_listen, args=(process,), name="furrow-signals", daemon=True).start()
    process.run()


def _listen(bridges: Bridges) -> None:
    """Hear the signals, while the main thread waits for a store, perhaps one that hangs. Nothing is lost by ending at once."""
    signal.sigwait(_ENDS)
    bridges.stop()
    signal.sigwait(_ENDS)
    os._exit(0)
