"""Contents of each queue now, counted along indexes and up to a limit: cheap with millions of jobs."""

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from django.core.cache import cache
from django.db.models import Count, Sum

from furrow import statements
from furrow.actions.queues import paused_queues
from furrow.conf import conf
from furrow.diagnosis import wording
from furrow.diagnosis.explain import living_workers
from furrow.errors import BrokerError
from furrow.kinds.kind import queues_in_use
from furrow.models import Job, Queue, Rollup, Worker
from furrow.models.database import connection
from furrow.partitions import share_out
from furrow.rabbitmq.broker import Held, Publisher
from furrow.states import FINAL, State

logger = logging.getLogger(__name__)

#: Jobs are counted up to this number.
COUNTED = wording.COUNTED
#: Seconds over which the throughput is an average.
LATELY = 60
#: Seconds for which RabbitMQ's answer is kept.
HOLDINGS_AGE = 3


@dataclass
class QueueFigures:
    """One queue. Counts end at ``COUNTED + 1``."""

    name: str
    due: int = 0  #: and not held
    scheduled: int = 0
    held: int = 0  #: by a lock or a limit
    queued: int = 0  #: in RabbitMQ, as the database knows it
    running: int = 0
    oldest: dt.datetime | None = None  #: since when the longest waiting job, of those due, has been due
    ended: int = 0  #: jobs that ended within the last ``LATELY`` seconds
    paused: Queue | None = None
    consumers: list[Worker] = field(default_factory=list)  #: living workers that consume it
    stopped: list[Worker] = field(default_factory=list)  #: those that were asked not to
    partitions: list["PartitionFigures"] = field(default_factory=list)  #: when this queue alone was asked for

    @property
    def external(self) -> bool:
        """Its workers are in other languages, and RabbitMQ does not know it."""
        return self.name in conf().external_queues

    @property
    def condition(self) -> str:
        """``open``, ``paused``, ``draining`` or ``drained``."""
        if self.paused is None:
            return "open"
        if not self.paused.draining:
            return "paused"
        return "draining" if self.queued or self.running else "drained"


class PartitionFigures(NamedTuple):
    """One partition of a queue."""

    name: str
    messages: int | None  #: in RabbitMQ, in no worker's hands; ``None`` when RabbitMQ does not answer
    active: bool  #: RabbitMQ gives its messages to a worker
    worker: Worker | None  #: whose it should be; for seconds after workers came or went it may still be another's
    holder: Worker | None = None  #: who has messages of it, by the last heartbeats, and how many
    in_hands: int = 0


def partition_figures(queue: str, workers: Iterable[Worker]) -> list[PartitionFigures]:
    """The partitions of a queue, of those of these workers that consume it; empty if it has none. RabbitMQ is asked every few
    seconds at most."""
    parted = conf().partitioned.get(queue)
    if parted is None:
        return []
    held: dict[str, Held] = cache.get_or_set(f"furrow:holdings:{queue}", partial(_holdings, queue), HOLDINGS_AGE) or {}
    by_id = {worker.pk: worker for worker in workers}
    shares = share_out(parted.parts, by_id)
    figures = []
    for part in parted.parts:
        holder = max(by_id.values(), key=lambda worker: in_lines(worker, [part]), default=None)
        in_hands = in_lines(holder, [part]) if holder else 0
        figures.append(
            PartitionFigures(
                part,
                held[part].messages if part in held else None,
                part in held and held[part].consumers > 0,
                by_id[shares[part]] if part in shares else None,
                holder if in_hands else None,
                in_hands,
            )
        )
    return figures


def in_lines(worker: Worker, parts: Iterable[str]) -> int:
    """How many messages of these partitions the worker had at its last heartbeat, those of running jobs included."""
    lines = worker.stats.get("lines", {})
    return sum(lines.get(part, 0) for part in parts)


def _holdings(queue: str) -> dict[str, Held]:
    publisher = Publisher()
    try:
        return publisher.holdings(queue)
    except BrokerError as error:
        logger.info("RabbitMQ was not asked for the partitions of %s: %s", queue, error)
        return {}
    finally:
        publisher.close()


def queue_figures(now: dt.datetime, only: str | None = None) -> list[QueueFigures]:
    """Every configured queue, or one, in the order of the settings."""
    names = [only] if only else queues_in_use()
    found = {name: QueueFigures(name) for name in names}
    for name, due, scheduled, oldest in statements.on(connection).waiting(connection, names, COUNTED + 1):
        found[name].due, found[name].scheduled, found[name].oldest = due, scheduled, oldest
    held = Job.objects.filter(state=State.PENDING).exclude(held="").order_by().values_list("queue")[: 2 * COUNTED]
    for (name,) in held:
        if name in found:
            found[name].held += 1
    lately = Rollup.objects.filter(at__gte=int(now.timestamp()) - LATELY, measure__in=[str(state) for state in FINAL])
    for name, count in lately.order_by().values_list("queue").annotate(Sum("count")):
        if name in found:
            found[name].ended = count
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
    if only:
        found[only].partitions = partition_figures(only, found[only].consumers)
    return list(found.values())
