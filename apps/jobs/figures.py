"""What stands in each queue right now, counted along indexes and to a limit: cheap with millions of jobs."""

import datetime as dt
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Count

from apps.jobs import statements
from apps.jobs.conf import conf
from apps.jobs.explain import living_workers
from apps.jobs.models import Job, Queue, Worker
from apps.jobs.queues import paused_queues
from apps.jobs.states import State

#: Jobs are counted up to this number; pages say "10,000+" beyond it.
COUNTED = 10_000


@dataclass
class QueueFigures:
    """One queue. Counts end at ``COUNTED + 1``."""

    name: str
    due: int = 0
    scheduled: int = 0
    queued: int = 0  #: in RabbitMQ, as the database knows it
    running: int = 0
    oldest: dt.datetime | None = None  #: since when the longest waiting job, of those due, has been due
    paused: Queue | None = None
    consumers: list[Worker] = field(default_factory=list)  #: living workers that consume it
    stopped: list[Worker] = field(default_factory=list)  #: those that were asked not to

    @property
    def condition(self) -> str:
        """``open``, ``paused``, ``draining`` or ``drained``."""
        if self.paused is None:
            return "open"
        if not self.paused.draining:
            return "paused"
        return "draining" if self.queued or self.running else "drained"


def queue_figures(now: dt.datetime, only: str | None = None) -> list[QueueFigures]:
    """Every configured queue, or one, in the order of the settings."""
    names = [only] if only else list(conf().queues)
    found = {name: QueueFigures(name) for name in names}
    for name, due, scheduled, oldest in statements.on(connection).waiting(connection, names, COUNTED + 1):
        found[name].due, found[name].scheduled, found[name].oldest = due, scheduled, oldest
    running = Job.objects.filter(state=State.RUNNING).order_by().values_list("queue").annotate(Count("pk"))
    for name, count in running:
        if name in found:
            found[name].running = count
    paused, workers = paused_queues(), list(living_workers(now).order_by("node"))
    for name, queue in found.items():
        queue.queued = Job.objects.filter(state=State.QUEUED, queue=name).order_by()[: COUNTED + 1].count()
        queue.paused = paused.get(name)
        queue.consumers = [worker for worker in workers if name in worker.queues and name not in worker.paused]
        queue.stopped = [worker for worker in workers if name in worker.queues and name in worker.paused]
    return list(found.values())
