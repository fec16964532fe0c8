"""What other Celery programs ask of jobs: a cancellation through remote control, a job sent as a task."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import amqp
from django.db import Error

from furrow.diagnosis import troubles
from furrow.models.database import connection
from furrow.statements.refused import refuses_value
from furrow.worker.news import Reply

if TYPE_CHECKING:
    from furrow.worker.celery.bootsteps import JobWorker

logger = logging.getLogger(__name__)


def cancel_from_celery(id: str) -> None:
    """Cancel a job because Celery's revoke command (Flower's Terminate button) asked for it; off the event loop."""

    def work() -> None:
        from furrow.actions.jobs import cancel

        cancel(uuid.UUID(id), reason="terminated through Celery's remote control")

    _off_the_loop(work)


def strategy(task: Any, app: Any, consumer: Any, **kwargs: Any) -> Callable[..., None]:
    """Celery's ``Strategy`` of a kind: a task that a Celery client elsewhere sent under the kind's name becomes a job with the
    task's id. It is acknowledged when the job is committed; bad arguments are kept as the task's failure."""
    jobs: JobWorker | None = getattr(consumer.controller, "jobs", None)
    if jobs is None:
        return _strategy_without_jobs(task, app)
    post, intake = jobs.mail.post, jobs.intake
    others, keep = intake.others, intake.dead.keep

    def submit_task(message: Any, *args: Any, **kwargs: Any) -> None:
        def work() -> None:
            from furrow.errors import FurrowError

            try:
                positional, named = message.payload[:2]
                id = message.headers["id"]
                task.kind.apply_async(positional, named, task_id=id, eta=None, queue=None)
            except Exception as error:
                if isinstance(error, Error) and not refuses_value(error):
                    id = message.headers.get("id")
                    logger.warning("Task %s of kind %s waits: the database is away (%s).", id, task.name, error)
                    post(Reply(settle, (message, message.requeue)))
                    return
                if not isinstance(error, FurrowError):  # nothing that submit says: the message cannot be read
                    reason = f"It is no job of {task.name}: {type(error).__name__}: {str(error)[:500]}"
                    post(Reply(keep, (message, reason)))
                    return
                logger.error("Task %s of kind %s is no job: %s", message.headers.get("id"), task.name, error)
                try:
                    app.backend.mark_as_failure(message.headers.get("id"), error)
                except Exception as unrecorded:
                    troubles.failed("record of a task that is no job", unrecorded)
                    reason = f"It is no job of {task.name}: {str(error)[:500]}; nobody could be told."
                    post(Reply(keep, (message, reason)))
                    return
            post(Reply(settle, (message, message.ack)))

        others.add(message.delivery_tag)
        _off_the_loop(work)

    def settle(message: Any, how: Callable[[], None]) -> None:
        others.discard(message.delivery_tag)
        try:
            how()
        except (amqp.AMQPError, OSError) as error:
            logger.debug("a message was not settled: %s", error)

    return submit_task


def _strategy_without_jobs(task: Any, app: Any) -> Callable[..., None]:
    """The same in a worker that runs no jobs: of Celery's own application, or of another pool."""

    def submit_task(message: Any, *args: Any, **kwargs: Any) -> None:
        id = message.headers.get("id")
        try:
            positional, named = message.payload[:2]
            task.kind.apply_async(positional, named, task_id=id, eta=None, queue=None)
        except Error as error:
            logger.warning("Task %s of kind %s waits: the database is away (%s).", id, task.name, error)
            message.requeue()
            return
        except Exception as error:
            logger.error("Task %s of kind %s is no job: %s", id, task.name, error)
            app.backend.mark_as_failure(id, error)
        message.ack_log_error(logger, (amqp.AMQPError, OSError))

    return submit_task


def _off_the_loop(work: Callable[[], None]) -> None:
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
