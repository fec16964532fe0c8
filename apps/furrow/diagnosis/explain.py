"""Why a job has not ended, in a plain sentence, and what to do about it if that is not normal.

:func:`why` is pure; :func:`situation` reads what it needs to know.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Q, QuerySet

from furrow.conf import conf
from furrow.diagnosis import lockers
from furrow.diagnosis.blockers import Blocker, blocker
from furrow.diagnosis.commands import worker_command
from furrow.diagnosis.external import last_asked, untaken
from furrow.diagnosis.reason import Reason
from furrow.diagnosis.steps import halt, why_halted
from furrow.diagnosis.unserved import unserved
from furrow.diagnosis.wording import span
from furrow.diagnosis.workflows import why_waiting
from furrow.errors import PINNED
from furrow.limits.limit import FAIR_GATE, QUEUE
from furrow.models import Job, Leader, Queue, Step, Worker
from furrow.models.leader import BROKER_AWAY
from furrow.statements import Locker
from furrow.statements.bounded import TookTooLong, at_most
from furrow.states import FINAL, MEANINGS, State

#: Jobs ahead are counted to this number, if that takes no longer (seconds).
COUNTED, COUNT_BUDGET = 1_000, 0.05


@dataclass(frozen=True)
class Situation:
    """The facts that decide when a job runs: dispatcher, workers, pauses, limits, its last run."""

    dispatcher_leads: bool = True
    dispatcher_trouble: str = ""
    troubled_since: dt.datetime | None = None
    #: Living workers that consume the job's queue, and how many of them know its kind.
    consumers: int = 1
    knowing: int = 1
    #: Living workers that were asked not to consume the job's queue.
    asked_not: int = 0
    #: Of a running job: its worker's lease holds.
    worker_lives: bool = True
    last_outcome: str = ""
    #: Of a job that its last run put off: why it is held, or the step that it waits in.
    held: str = ""
    #: Why its last run went back: it is for workers of another version of the code.
    elsewhere: str = ""
    step: Step | None = None
    #: The job's queue, if it is paused.
    paused: Queue | None = None
    #: How many jobs go first: due ones of the queue for a pending job, ones in RabbitMQ for a queued job. Counted to
    #: ``COUNTED``; ``None`` when counting takes too long.
    ahead: int | None = None
    #: The limit that blocks the job.
    blocker: Blocker | None = None
    #: In a queue with partitions: the running job of the same key, and the name of the key's argument.
    before: Job | None = None
    key: str = ""
    #: In an external queue that no worker asks for its kind: when the last one did.
    asked_at: dt.datetime | None = None
    #: Why it waits in its workflow.
    in_workflow: Reason | None = None
    #: The database session that has locked the job's row for some time.
    locker: Locker | None = None


def living_workers(now: dt.datetime) -> QuerySet[Worker]:
    """The workers whose lease holds."""
    return Worker.objects.filter(stopped_at__isnull=True, lease_until__gt=now)


def situation(job: Job, now: dt.datetime) -> Situation:
    """Collect the facts that decide when this job runs, as of ``now``. A few short queries."""
    leader = Leader.objects.filter(role="dispatcher", lease_until__gt=now).first()
    workers = list(living_workers(now))
    of_queue = [worker for worker in workers if job.queue in worker.queues]
    consumers = [worker for worker in of_queue if job.queue not in worker.paused]
    return Situation(
        dispatcher_leads=leader is not None,
        dispatcher_trouble=leader.trouble if leader else "",
        troubled_since=leader.troubled_since if leader else None,
        consumers=len(consumers),
        knowing=sum(not worker.kinds or job.kind in worker.kinds for worker in consumers),
        asked_not=len(of_queue) - len(consumers),
        worker_lives=any(worker.pk == job.worker for worker in workers),
        **halt(job),
        ahead=_ahead(job, now),
        paused=Queue.objects.filter(name=job.queue, paused_at__isnull=False).first(),
        blocker=blocker(job),
        locker=lockers.of_row(job.pk, now),
        asked_at=last_asked(job),
        in_workflow=why_waiting(job) if job.state == State.WAITING else None,
        **_line(job),
    )


def _line(job: Job) -> dict[str, Any]:
    """Who is before it in its line, in a queue with partitions."""
    parted = conf().partitioned.get(job.queue)
    if parted is None or job.state != State.QUEUED or (value := job.arguments.get(parted.key)) is None:
        return {}
    same = Job.objects.filter(state=State.RUNNING, queue=job.queue, **{f"arguments__{parted.key}": value})
    return {"before": same.order_by().exclude(pk=job.pk).first(), "key": parted.key}


def why(job: Job, around: Situation, now: dt.datetime) -> Reason | None:
    """Why this job has not ended; ``None`` when it has."""
    if around.locker is not None and job.state not in FINAL:
        return _locked(around.locker)
    match job.state:
        case State.WAITING:
            return around.in_workflow or Reason("Waits for other jobs to end.")
        case State.PENDING if job.run_at > now:
            return _not_due(job, around)
        case State.PENDING if job.queue in conf().external_queues:
            return (
                unserved(job)
                or _paused(around)
                or ((_dispatcher(job, around) or held(around.blocker)) if job.limits else None)
                or untaken(job, around.knowing, around.asked_at, _after(around, "of its queue go before it"))
            )
        case State.QUEUED if job.queue in conf().external_queues:
            return _closed(around) or untaken(job, around.knowing, around.asked_at)
        case State.PENDING:
            return (
                unserved(job)
                or _paused(around)
                or _dispatcher(job, around)
                or held(around.blocker)
                or _workers(job, around)
                or Reason(f"The dispatcher sends it next{_after(around, 'of its queue go before it')}; due", job.run_at)
            )
        case State.QUEUED:
            return (
                _closed(around)
                or _broker(job, around)
                or _workers(job, around)
                or _behind(around)
                or Reason(
                    f"In RabbitMQ{_after(around, 'were sent before it')}; a worker of queue “{job.queue}” takes it when it has "
                    "room; sent",
                    job.queued_at,
                )
            )
        case State.RUNNING:
            return _running(job, around)
    return None


def _ahead(job: Job, now: dt.datetime) -> int | None:
    """How many go before it, by the dispatcher's order."""
    queue = Job.objects.filter(queue=job.queue, state=job.state).exclude(pk=job.pk).order_by()
    if job.state == State.QUEUED and job.queued_at:
        parts = [queue.filter(queued_at__lt=job.queued_at)]
    elif job.state == State.PENDING and job.run_at <= now and not job.held:
        # As the two indexes of due jobs are, of those without limits and those with.
        lanes = queue.filter(limits__isnull=True), queue.filter(limits__isnull=False, held="")
        places = (
            Q(priority__lt=job.priority, run_at__lte=now),
            Q(priority=job.priority, run_at__lt=job.run_at),
            Q(priority=job.priority, run_at=job.run_at, pk__lt=job.pk),
        )
        parts = [lane.filter(place) for lane in lanes for place in places]
    else:
        return None
    try:
        with at_most(connections[queue.db], COUNT_BUDGET):
            return min(COUNTED, sum(part[:COUNTED].count() for part in parts))
    except TookTooLong:
        return None


def _locked(locker: Locker) -> Reason:
    return Reason(
        f"Its row is locked by {lockers.describe(locker)}. The job waits until that transaction ends; other jobs continue. The "
        "transaction began",
        locker.since,
        f"End the transaction, or run: SELECT pg_terminate_backend({locker.pid})",
        stuck=True,
    )


def _after(around: Situation, words: str) -> str:
    if not around.ahead:
        return ""
    many = "at least " if around.ahead == COUNTED else ""
    return f" ({many}{around.ahead:,} {words})"


def _not_due(job: Job, around: Situation) -> Reason:
    if not around.last_outcome:
        return Reason("Scheduled: due", job.run_at)
    if around.elsewhere:
        return Reason(f"{around.elsewhere}. It is offered again", job.run_at, stuck=around.elsewhere.startswith(PINNED))
    if reason := why_halted(job, around.held, around.step):
        return reason
    if (meaning := MEANINGS.get(around.last_outcome)) and meaning.next_run:
        return Reason(meaning.next_run, job.run_at)
    return Reason(f"Attempt {job.attempt} {around.last_outcome}; tries again", job.run_at)


def _paused(around: Situation) -> Reason | None:
    """Nothing of a queue that is paused or drained is sent to RabbitMQ."""
    if around.paused is None:
        return None
    who = f" by {around.paused.paused_by}" if around.paused.paused_by else ""
    why = f" ({around.paused.reason})" if around.paused.reason else ""
    return Reason(
        f"Its queue “{around.paused.name}” was {'drained' if around.paused.draining else 'paused'}{who}{why}",
        around.paused.paused_at,
        "Resume it on its page under Queues.",
        stuck=True,
    )


def _closed(around: Situation) -> Reason | None:
    """What RabbitMQ has of a drained queue still runs; of a paused one it does not."""
    return None if around.paused is None or around.paused.draining else _paused(around)


def held(by: Blocker | None) -> Reason | None:
    """What a job waits for that has limits."""
    if by is None:
        return None
    others = (
        f"; {by.ahead:,}{' or more' if by.ahead >= COUNTED else ''} {'waits' if by.ahead == 1 else 'wait'} before it"
        if by.ahead
        else ""
    )
    jobs = tuple(holder.id for holder in by.holders)
    holder = by.holders[0] if by.holders else None
    first = f"job {holder.id} ({holder.kind})" if holder else "no job"
    if by.limit.key.startswith(f"{FAIR_GATE}:"):
        return Reason(f"Waits for the turn of {by.name}: tenants of a queue take turns{others}")
    if by.limit.ordered:
        text = f"In order of {by.name} behind {first}, which is {holder.state}" if holder else f"The next in order of {by.name}"
        return Reason(text, jobs=jobs)
    if by.taken < by.limit.slots:
        return Reason(f"Waited for {by.name}, which is free now; the dispatcher sends it within a second")
    if by.limit.period is not None:
        rate = f"{by.limit.slots:,} starts in {span(by.limit.period)}"
        return Reason(f"The rate of {rate} for {by.name} is reached{others}; the next may start", by.free_at, jobs=jobs)
    if by.limit.key.startswith("lock:"):
        since = holder.since if holder else None
        has = "which began" if since else "which is about to run"
        return Reason(f"The lock {by.name} is taken{others}; it is with {first}, {has}", since, jobs=jobs)
    whose = f"queue “{by.name}”" if by.limit.key.startswith(QUEUE) else by.name
    return Reason(f"The limit of {by.limit.slots:,} at once for {whose} is reached{others}", jobs=jobs)


def _dispatcher(job: Job, around: Situation) -> Reason | None:
    if not around.dispatcher_leads:
        return Reason(
            "Due, but no dispatcher is running; due", job.run_at, "Start one: manage.py furrow dispatcher", stuck=True
        )
    if around.dispatcher_trouble:
        return Reason(
            f"Due, but the dispatcher has trouble: {around.dispatcher_trouble}; since", around.troubled_since, stuck=True
        )
    return None


def _broker(job: Job, around: Situation) -> Reason | None:
    """Of a job that RabbitMQ has."""
    if not around.dispatcher_trouble.startswith(BROKER_AWAY):
        return None
    return Reason(f"Sent, but not delivered: {around.dispatcher_trouble}; since", around.troubled_since, stuck=True)


def _behind(around: Situation) -> Reason | None:
    if around.before is None:
        return None
    return Reason(f"Jobs of one {around.key} run one after the other; job {around.before.pk} began", around.before.started_at)


def _workers(job: Job, around: Situation) -> Reason | None:
    if not around.consumers and around.asked_not:
        return Reason(
            f"Every running worker of queue “{job.queue}” has paused it; due",
            job.run_at,
            "Resume it on a worker's page.",
            stuck=True,
        )
    if not around.consumers:
        return Reason(
            f"No running worker consumes queue “{job.queue}”; due",
            job.run_at,
            f"Start one: {worker_command(job.queue)}",
            stuck=True,
        )
    if not around.knowing:
        return Reason(
            f"No running worker of queue “{job.queue}” knows the kind {job.kind}; due",
            job.run_at,
            "Restart the workers with the code that declares the kind.",
            stuck=True,
        )
    return None


def _running(job: Job, around: Situation) -> Reason | None:
    if not around.worker_lives:
        return Reason("Its worker is lost; the dispatcher rescues the job. It began", job.started_at)
    if job.cancel_requested_at:
        return Reason("Cancel requested", job.cancel_requested_at)
    return Reason("Began", job.started_at)
