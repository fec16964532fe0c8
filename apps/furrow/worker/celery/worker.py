"""A worker of :class:`furrow.celery.Celery`: Celery's own, which consumes the job queues besides the project's."""

import platform
from typing import Any

from celery import concurrency
from celery.apps.worker import Worker as CeleryWorker
from celery.utils.text import str_to_list
from django.core.exceptions import ImproperlyConfigured
from kombu.utils.imports import symbol_by_name

from furrow.conf import conf
from furrow.rabbitmq.queues import job_queue, queue_names, shared_queues
from furrow.worker import channel
from furrow.worker.older_celery import note_cold_shutdown

PREFORK = "celery.concurrency.prefork"


class Worker(CeleryWorker):
    """Without ``-Q`` it consumes all job queues, if its pool is prefork; with ``-Q`` what is named there."""

    def setup_queues(self, include: Any, exclude: Any = None) -> None:
        """Celery's choice of queues; the project's are as the project declares them. The job queues are consumed, but are none
        of the application's own: those its tasks are sent to, and Celery looks at their types and arguments."""
        queues = self.app.amqp.queues
        if problem := shared_queues(self.app):
            raise ImproperlyConfigured(problem)
        chosen = str_to_list(include)
        if not chosen:  # by name: to Celery before 5.7, no choice means every queue that the application knows
            chosen = [*queues.consume_from]
            if concurrency.get_implementation(self.pool_cls).__module__ == PREFORK:
                chosen += conf().queues
        for name in conf().queues:
            queues.add(job_queue(name))
        super().setup_queues(chosen, exclude)
        for name in conf().queues:
            del queues[name]

    def wait_for_soft_shutdown(self) -> None:
        """What Celery's handler of a cold shutdown does first."""
        try:
            super().wait_for_soft_shutdown()
        finally:
            note_cold_shutdown()


def runs_jobs(worker: Any) -> bool:
    """This worker consumes a job queue."""
    return bool(queue_names(worker.app.amqp.queues.consume_from.values()))


def refuse_what_cannot_run_jobs(worker: Any) -> None:
    """A worker that runs jobs needs the prefork pool, and Linux.

    Raises:
        ImproperlyConfigured: it has another one.
    """
    if not channel.is_possible():
        raise ImproperlyConfigured(
            f"A worker that runs jobs needs Unix sockets that carry packets (SOCK_SEQPACKET), which {platform.system()} lacks: "
            "run the worker in a Linux container (docs/versions.md says how), or have it consume no job queue "
            f"({', '.join(conf().queues)}) with -Q or -X."
        )
    if not worker.use_eventloop or worker.pool_cls.__module__ != PREFORK:
        raise ImproperlyConfigured(
            "Jobs need Celery's prefork pool on Linux, for timeouts and for knowing who died: start the worker without --pool, "
            f"or with --pool prefork; or have it consume no job queue ({', '.join(conf().queues)}) with -Q or -X."
        )


def with_jobs(setting: str, given: Any, stock: str, ours: Any) -> Any:
    """The class of a worker's part: ours, or one of the project's that is made of ours.

    Raises:
        ImproperlyConfigured: the project's setting names another one.
    """
    chosen = symbol_by_name(given)
    if chosen is symbol_by_name(stock):
        return ours
    if isinstance(chosen, type) and issubclass(chosen, ours):
        return chosen
    name = f"{ours.__module__}:{ours.__qualname__}"
    raise ImproperlyConfigured(
        f"{setting} is {chosen.__module__}:{chosen.__qualname__}, and a worker that runs jobs needs {name}: make yours a class "
        "below that one, or have this worker consume no job queue (-Q)."
    )
