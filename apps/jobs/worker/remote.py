"""Celery's remote control commands, where they mean a job."""

import logging
import threading
import uuid

from django.db import connection

logger = logging.getLogger(__name__)


def cancel_from_celery(id: str) -> None:
    """Cancel a job because Celery's revoke command (Flower's Terminate button) asked for it; off the event loop."""

    def cancel() -> None:
        from apps.jobs.actions import cancel

        try:
            cancel(uuid.UUID(id), reason="terminated through Celery's remote control")
        finally:
            connection.close()

    threading.Thread(target=cancel, name="furrow-cancel", daemon=True).start()
