"""Requests: what people ask of this worker through the database (``WorkerRequest``), done in its event loop.

The ledger looks for them once a second and brings the answers back. A request that was taken and not answered when the worker
died is not taken again: nobody wants yesterday's shutdown.
"""

import logging
import os
import signal
import threading
from typing import Any

import amqp

from furrow.diagnosis import troubles
from furrow.rabbitmq.queues import queue_names
from furrow.statements import Answer, Asked
from furrow.worker import stacks
from furrow.worker.intake.intake import Intake
from furrow.worker.pool.supervisor import PoolSupervisor

logger = logging.getLogger(__name__)


def job_queues(worker: Any) -> list[str]:
    """The job queues that a Celery worker consumes, unless it was asked not to."""
    return queue_names(list(worker.app.amqp.queues.consume_from.values()))


class Requests:
    """One method an action; each answers, now or later."""

    def __init__(self, worker: Any, supervisor: PoolSupervisor, intake: Intake) -> None:
        self._worker = worker
        self._supervisor = supervisor
        self._intake = intake

    def take(self, asked: list[Asked]) -> None:
        """Do these. Called in the event loop."""
        for request in asked:
            logger.info("%s asks to %s %s", request.by or "a program", request.action, request.subject)
            do: Any = getattr(self, f"_{request.action}", None)
            try:
                if do is None:
                    self._answer(
                        request, False, f"This worker does not know how to {request.action}: it is of an older release."
                    )
                else:
                    do(request)
            except Exception as error:
                troubles.failed(f"worker's request {request.action if do else 'of another release'}", error)
                self._answer(request, False, f"{type(error).__name__}: {error}")

    def _answer(self, request: Asked, succeeded: bool, text: str) -> None:
        self._supervisor.ledger.answer(Answer(request.id, succeeded, text))

    def _pause(self, request: Asked) -> None:
        if request.subject not in job_queues(self._worker):
            self._answer(request, False, "This worker does not consume that queue.")
            return
        self._supervisor.paused.add(request.subject)
        self._consume_accordingly()
        self._answer(request, True, "Its messages go to other workers.")

    def _resume(self, request: Asked) -> None:
        self._supervisor.paused.discard(request.subject)
        self._consume_accordingly()
        self._answer(request, True, "It consumes the queue again.")

    def _consume_accordingly(self) -> None:
        self._supervisor.ledger.lease.hasten()
        try:
            self._intake.look(self._worker.consumer)
        except (amqp.AMQPError, OSError) as error:
            logger.info("RabbitMQ is away (%s): the queues are chosen with the next connection.", error)

    def _restart(self, request: Asked) -> None:
        self._supervisor.restart()
        self._answer(request, True, "Each process is replaced by a new one when it has ended the job that it runs.")

    def _shutdown(self, request: Asked) -> None:
        self._answer(request, True, "It takes nothing new, gives running jobs their grace, and ends.")
        os.kill(os.getpid(), signal.SIGTERM)

    def _stack(self, request: Asked) -> None:
        self._supervisor.read()  # what the processes have said by now counts
        running = next((running for running in self._supervisor.running.values() if running.job.id == request.subject), None)
        if running is None:
            self._answer(request, False, self._why_not_running(request.subject))
            return

        def ask() -> None:
            try:
                text = stacks.ask(running.pid)
            except OSError as error:  # a TimeoutError is one
                self._answer(request, False, f"Process {running.pid} did not answer: {error}.")
                return
            except Exception as error:
                troubles.failed("look at a process's stack", error)
                self._answer(request, False, f"The stack cannot be told: {type(error).__name__}: {error}")
                return
            still = self._supervisor.running.get(running.pid) is running
            self._answer(
                request, True, text if still else f"The job ended meanwhile; its process {running.pid} was here:\n{text}"
            )

        threading.Thread(target=ask, name="furrow-stack", daemon=True).start()

    def _why_not_running(self, id: str) -> str:
        """Why no process runs this job."""
        if id not in {job.id for job in self._supervisor.assigned}:
            return "The job does not run on this worker any more."
        processes = [child.pid for child in self._worker.pool._pool._pool]
        free = ", ".join(str(pid) for pid in processes if pid not in self._supervisor.running)
        if not free:
            return "The job is claimed and has not begun: every process of its worker runs another one."
        return f"The job is claimed and has not begun: no process has taken it. Stopped, starved of CPU, or starting: {free}."
