"""Pause, drain and resume a queue, for all workers. A pause is a row that the dispatcher and every claim check: it survives
every restart, and costs a job nothing.

*Paused*: from the commit on no job of the queue begins. What RabbitMQ holds of it is refused by the claim and waits in the
database again. *Drained*: nothing more is sent to RabbitMQ; what it has already (about a second of work) still runs.
Jobs that run go on in either case.
"""

from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from furrow.conf import conf
from furrow.errors import UnknownQueue, did_you_mean
from furrow.kinds.kind import queues_in_use
from furrow.locks.wakeup import wake
from furrow.models import Job, Queue
from furrow.states import State


def pause(name: str, *, by: str = "", reason: str = "", drain: bool = False) -> bool:
    """Let nothing of this queue begin any more; with ``drain`` let run what RabbitMQ has already.

    Args:
        by: who said so; at most 150 characters are kept.
        reason: why, in their words; at most 500 characters are kept.

    Returns:
        ``False`` when the queue is paused (or drained) already.

    Raises:
        UnknownQueue: no such queue.
    """
    _check(name)
    Queue.objects.get_or_create(name=name)
    other = Queue.objects.filter(Q(paused_at__isnull=True) | ~Q(draining=drain), name=name)
    columns = {"paused_by": by[:150], "reason": reason.replace("\0", "")[:500]}
    with transaction.atomic(using=router.db_for_write(Queue)):
        if drain:
            _end_pause(name)
        return bool(other.update(paused_at=Now(), draining=drain, **columns))


def resume(name: str) -> bool:
    """Let a queue go on.

    Returns:
        ``False`` when it was not paused.

    Raises:
        UnknownQueue: no such queue.
    """
    _check(name)
    paused = Queue.objects.filter(name=name, paused_at__isnull=False)
    with transaction.atomic(using=router.db_for_write(Queue)):
        _end_pause(name)
        resumed = paused.update(paused_at=None, draining=False, paused_by="", reason="")
    if resumed:
        transaction.on_commit(wake, using=router.db_for_write(Queue), robust=True)
    return bool(resumed)


def paused_queues() -> dict[str, Queue]:
    """The queues that are paused or drained, by name."""
    return {queue.name: queue for queue in Queue.objects.filter(paused_at__isnull=False)}


def put_back(queued: QuerySet[Job]) -> int:
    """These jobs are pending again, and are sent again; returns how many. What somebody else has locked is left."""
    with transaction.atomic(using=router.db_for_write(Job)):
        ids = list(queued.order_by().select_for_update(skip_locked=True).values_list("pk", flat=True))
        return Job.objects.filter(pk__in=ids).update(state=State.PENDING, queued_at=None)


def _end_pause(name: str) -> None:
    """While a queue is paused its messages are refused and go: jobs that the dispatcher has not taken back yet have none."""
    if Queue.objects.filter(name=name, paused_at__isnull=False, draining=False).exists():
        put_back(Job.objects.filter(queue=name, state=State.QUEUED))


def _check(name: str) -> None:
    if name not in conf().all_queues:
        raise UnknownQueue(f"There is no queue {name!r}: {did_you_mean(name, queues_in_use())} (FURROW['QUEUES']).")
