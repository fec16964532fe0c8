"""``manage.py furrow dispatcher``: the process that sends due jobs to RabbitMQ."""

import logging
import os
import signal
import threading
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand

from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.dispatcher.process import Dispatcher
from furrow.models.database import connection
from furrow.rabbitmq.queues import broker_urls
from furrow.service_urls import masked

logger = logging.getLogger(__name__)

#: Seconds to end in order, once asked to.
PATIENCE = 10.0
_ENDS = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT."""

    help = "Send due jobs to RabbitMQ, rescue jobs of lost workers, repair drift. Run one or more: one leads, others stand by."
    # Those of the pages would load the pages.
    requires_system_checks = [Tags.compatibility, Tags.database, Tags.models]

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the dispatcher."""
        _be_heard()
        troubles.watch_threads()
        queues = ", ".join(conf().queues)
        logger.info("Furrow's dispatcher: database %s; broker %s; queues: %s.", _database(), masked(broker_urls()[0]), queues)
        dispatcher = Dispatcher()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        threading.Thread(target=_listen, args=(dispatcher,), name="furrow-signals", daemon=True).start()
        dispatcher.run()


def _be_heard() -> None:
    """On stderr, in a project that has configured no logging: by itself Python shows warnings alone."""
    ours = logging.getLogger("furrow")
    if not ours.hasHandlers():
        ours.addHandler(logging.StreamHandler())
        ours.setLevel(logging.INFO)


def _database() -> str:
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return str(given["NAME"])
    host = ":".join(str(part) for part in (given["HOST"] or "the local socket", given["PORT"]) if part)
    return f"{given['NAME']} of {connection.display_name} at {host}"


def _listen(dispatcher: Dispatcher) -> None:
    """Hear the signals, while the main thread waits for a database, perhaps one that hangs."""
    signal.sigwait(_ENDS)
    dispatcher.stop()
    overdue = threading.Timer(PATIENCE, _give_up, [f"did not shut down within {PATIENCE:g} s"])
    overdue.daemon = True
    overdue.start()
    signal.sigwait(_ENDS)
    _give_up("was told to stop again")


def _give_up(why: str) -> None:
    """End without order: nothing is lost by it."""
    logger.warning("This dispatcher %s and exits now; its lease, if it had one, ends by itself.", why)
    os._exit(0)
