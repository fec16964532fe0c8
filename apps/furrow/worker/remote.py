"""What other Celery programs ask of jobs through remote control: a cancellation. It is done off the event loop."""

import logging
import threading
import uuid
from collections.abc import Callable

from django.db import Error

from furrow.diagnosis import troubles
from furrow.models.database import connection

logger = logging.getLogger(__name__)


def cancel_from_celery(id: str) -> None:
    """Cancel a job because Celery's revoke command (Flower's Terminate button) asked for it; off the event loop."""

    def work() -> None:
        from furrow.actions.jobs import cancel

        cancel(uuid.UUID(id), reason="terminated through Celery's remote control")

    off_the_loop(work)


def off_the_loop(work: Callable[[], None]) -> None:
    """Do it in a thread of its own, with a connection to the database of its own."""

    def run() -> None:
        try:
            work()
        except Error as error:
            logger.warning("The database is away: %s", error)
        except Exception as error:
            troubles.failed("answer to a Celery client", error)
        finally:
            connection.close()

    threading.Thread(target=run, name="furrow-remote", daemon=True).start()
