"""Celery's consumer with three changes: unknown kinds go back, buffered messages are dropped with their channel, and running
jobs are looked after while the broker is away."""

import logging
import uuid
from typing import Any

from celery.worker.consumer import Consumer

logger = logging.getLogger(__name__)


class JobConsumer(Consumer):
    """Set as ``worker_consumer``."""

    def connection_for_write(self, url: Any = None, heartbeat: Any = None) -> Any:
        """For events: fire and forget. Waiting for a confirm of each would hold up the event loop."""
        connection = self.app.connection_for_write(url=url, heartbeat=heartbeat)
        connection.transport_options = {**connection.transport_options, "confirm_publish": False}
        return self.ensure_connected(connection)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, for as long as it takes; meanwhile serve the pool processes, since no event loop does."""
        jobs, connect = self.controller.jobs, conn.ensure_connection

        def connect_and_serve(errback: Any, max_retries: Any, callback: Any = None) -> Any:
            def meanwhile() -> None:
                if callback is not None:
                    callback()
                jobs.deliver()
                jobs.crew.tick()

            return connect(errback, max_retries, callback=meanwhile)

        conn.ensure_connection = connect_and_serve
        return super().ensure_connected(conn)

    def on_close(self) -> None:
        """The connection is gone."""
        super().on_close()
        self.controller.jobs.intake.drop()

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A job of a kind that this worker does not have (an older or newer release): back to the dispatcher, with why."""
        try:
            id = uuid.UUID(message.headers["id"])
        except (KeyError, ValueError, TypeError):
            super().on_unknown_task(body, message, exc)
            return
        if message.headers.get("task") not in self.app.tasks and message.delivery_info.get("exchange") == "furrow":
            # The claim makes it ours; the pool process finds no kind and hands it back, not counted.
            self.controller.jobs.intake.accept(message, body, message.ack, message.reject, None)
            logger.warning(
                "Job %s is of kind %s, which this worker does not know; handed back.", id, message.headers.get("task")
            )
            return
        super().on_unknown_task(body, message, exc)
