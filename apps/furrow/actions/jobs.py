"""Actions on jobs: cancel, retry, run now, snooze, change priority or queue, delete. Each is one guarded UPDATE.

Each function takes an id, several ids, or a query set of jobs, and returns how many jobs it changed. A job that has moved on
meanwhile, or does not exist, is left alone: losing the race is a return value.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Any

from django.db import connections, router, transaction
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Greatest, Now

from furrow import signals, statements
from furrow.actions.needed import needed
from furrow.conf import conf
from furrow.errors import InputError, did_you_mean
from furrow.kinds.kind import all_kinds, queues_in_use
from furrow.limits.limit import QUEUE, Limit, to_json
from furrow.locks.wakeup import wake
from furrow.models import Approval, Attempt, Job, LogLine, Node, OutputChunk, Signal, Step
from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from furrow.statements.begun import HAS_BEGUN
from furrow.states import FINAL, UNSTARTED, NodeState, State

#: One job, several, or those of a query set.
Jobs = uuid.UUID | Iterable[uuid.UUID] | QuerySet[Job]


def cancel(jobs: Jobs, *, reason: str = "cancelled by request") -> int:
    """Cancel jobs. One that has not begun ends at once; a running one is asked to stop. Returns how many that is."""
    with transaction.atomic(using=router.db_for_write(Job), savepoint=False):
        # All of them are locked at once: one that began, or goes back to pending, between two statements would be in neither.
        found = list(_rows(jobs).exclude(state__in=FINAL).select_for_update().values_list("pk", "state"))
        running = Job.objects.filter(pk__in=[id for id, state in found if state == State.RUNNING])
        asked = running.update(cancel_requested_at=Coalesce("cancel_requested_at", Now()))
        return asked + end_unstarted(Job.objects.filter(pk__in=[id for id, state in found if state != State.RUNNING]), reason)


def end_unstarted(unstarted: QuerySet[Job], reason: str, state: State = State.CANCELLED, how: str = "") -> int:
    """Cancel (or fail) jobs that have not begun, and count that; in the caller's transaction, which keeps them locked. What
    another has locked is left alone. ``how``: what signals say of it, if not the state."""
    ids = list(unstarted.select_for_update(skip_locked=True).values_list("pk", flat=True))
    if ids:
        Job.objects.filter(pk__in=ids).update(state=state, finished_at=Now(), error=reason[:500])
        link = connections[router.db_for_write(Job)]
        statements.on(link).count_cancelled(link, ids)
        signals.ended_unstarted(ids, how or state)
    return len(ids)


def retry(jobs: Jobs) -> int:
    """Run ended jobs again, due now, with one more attempt where none was left. In a workflow a job whose node was not let go
    waits for that again; one whose node was skipped is left alone: it waits again when what kept it runs again. Returns how
    many."""
    node = Node.objects.filter(pk=OuterRef("node"))
    never = Q(state=NodeState.SKIPPED) | (~Q(role="") & Q(let_go_at=None))
    waits = When(Q(node__isnull=False) & Exists(node.filter(let_go_at=None)), then=Value(State.WAITING.value))
    return _woken(
        _rows(jobs)
        .filter(Q(node=None) | ~Exists(node.filter(never)), state__in=FINAL)
        .update(
            state=Case(waits, default=Value(State.PENDING.value)),
            run_at=Now(),
            finished_at=None,
            queued_at=None,
            expires_at=None,
            cancel_requested_at=None,
            progress=None,
            progress_note="",
            error="",
            max_attempts=Greatest(F("max_attempts"), F("attempt") - F("excused") + 1),
        )
    )


def run_now(jobs: Jobs) -> int:
    """Make pending jobs that are due later due now. Returns how many."""
    return _woken(_rows(jobs).filter(state=State.PENDING, run_at__gt=Now()).update(run_at=Now()))


def snooze(jobs: Jobs, until: dt.datetime) -> int:
    """Postpone jobs that have not begun to this (aware) time; messages already in RabbitMQ are dropped on arrival. Returns how
    many.

    Raises:
        InputError: ``until`` has no time zone.
    """
    if until.utcoffset() is None:
        raise InputError({"until": f"{until.isoformat()} has no time zone: pass an aware datetime"})
    begun = Q(RawSQL(HAS_BEGUN, (), BooleanField()))  # noqa: S611 - a constant
    fits = Q(expires_at__isnull=True) | Q(expires_at__gt=until) | begun
    rows = _rows(jobs).filter(fits, state__in=[State.PENDING, State.QUEUED])
    return rows.update(state=State.PENDING, run_at=until, queued_at=None)


def change_priority(jobs: Jobs, priority: int) -> int:
    """Change the priority of jobs that have not begun; a job already in RabbitMQ keeps its place there. Returns how many.

    Raises:
        InputError: ``priority`` is not a whole number from 0 to 9.
    """
    if type(priority) is not int or not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
        text = f"{priority!r} must be a whole number; {HIGHEST_PRIORITY} goes first, {LOWEST_PRIORITY} last"
        raise InputError({"priority": text})
    return _woken(_rows(jobs).filter(state__in=UNSTARTED).exclude(priority=priority).update(priority=priority))


def change_queue(jobs: Jobs, queue: str) -> int:
    """Move jobs that have not begun to another queue. A job already in RabbitMQ is sent again; a worker of the old queue may
    still run it if it takes the old message first. Jobs of external kinds move among external
    queues, all others among those in RabbitMQ; what may not be in the queue is left alone. Returns how many.

    Raises:
        InputError: no such queue.
    """
    if queue not in conf().all_queues:
        known = did_you_mean(queue, queues_in_use())
        raise InputError({"queue": f"{queue!r} is unknown; {known} (FURROW['QUEUES'])"})
    rows, external = _rows(jobs).exclude(queue=queue), [kind.name for kind in all_kinds() if kind.external]
    rows = rows.exclude(kind__in=external) if queue in conf().queues else rows.filter(kind__in=external)
    slots, using = conf().queue_limits.get(queue), router.db_for_write(Job)
    limits = to_json([] if slots is None else [Limit(QUEUE + queue, slots)])
    with transaction.atomic(using=using, savepoint=False):
        ids = list(rows.filter(state__in=UNSTARTED).select_for_update().values_list("pk", flat=True))
        moving = Job.objects.filter(pk__in=ids)
        moving.filter(state=State.QUEUED).update(state=State.PENDING, queued_at=None)
        moving.update(queue=queue)
        statements.on(connections[using]).move_limits(connections[using], ids, limits)
    return _woken(len(ids))


def delete(jobs: Jobs) -> int:
    """Delete ended jobs, with all that belongs to them; those of a workflow that goes on stay, which passes their results on.
    Returns how many."""
    using = router.db_for_write(Job)
    with transaction.atomic(using=using):
        ended = set(_rows(jobs).filter(state__in=FINAL).select_for_update().values_list("pk", flat=True))
        ended -= needed(ended)
        by_job = [(model, "job") for model in (LogLine, OutputChunk, Step, Approval, Attempt)]
        for model, column in (*by_job, (Signal, "target"), (Job, "pk")):
            rows: Any = model._default_manager.filter(**{f"{column}__in": ended})
            rows._raw_delete(using)
    return len(ended)


def _rows(jobs: Jobs) -> QuerySet[Job]:
    if isinstance(jobs, QuerySet):
        return jobs.order_by()
    return Job.objects.filter(pk__in=[jobs] if isinstance(jobs, uuid.UUID) else list(jobs)).order_by()


def _woken(changed: int) -> int:
    if changed:
        transaction.on_commit(wake, using=router.db_for_write(Job), robust=True)
    return changed
