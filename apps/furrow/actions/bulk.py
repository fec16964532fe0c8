"""Bulk actions: a job that applies one action to every job that matches; it can be watched, stopped and resumed.

It goes through the matching jobs by id, a batch in one transaction: the guarded UPDATE of :mod:`furrow.actions.jobs`, and how
far it has come in the audit entry, guarded by how far it had come before. So a run that was killed is followed by one that goes
on where the last batch was committed, and two runs at once cannot do a batch twice.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.db import router, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from furrow.actions import jobs
from furrow.actions.audit import audit
from furrow.actions.permissions import ACT, forbidden_kinds, may_act
from furrow.actions.selection import EARLIEST, LATEST, select
from furrow.context import current_job
from furrow.errors import Abort, InputError, Snooze, did_you_mean
from furrow.kinds.retry import RetryPolicy
from furrow.models import AuditEntry, Job
from furrow.models.audit_entry import Origin
from furrow.models.users import find_user
from furrow.plural import counted
from furrow.states import FINAL, UNSTARTED, State
from furrow.submission.job import job
from furrow.submission.submit import submit

#: Jobs in one transaction, and ids read ahead.
BATCH, AHEAD = 500, 20_000
#: How the audit log calls what a bulk action was done to.
TARGET = "jobs that match"


#: Seconds between the tries of what was locked; what still is after the last one is named in the result.
TRIES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
#: Ids of locked jobs that are named, and that are kept for another try.
NAMED, KEPT = 10, 20_000


class Done(NamedTuple):
    """What came of an action."""

    changed: int
    #: Jobs whose rows another transaction had locked.
    locked: list[uuid.UUID]


class Action(NamedTuple):
    """Something to do to many jobs."""

    do: Callable[..., int]
    #: States that it changes anything in.
    states: frozenset[State]
    #: The option it needs (a parameter of ``do``), if any.
    option: str = ""
    #: "… will be …"
    future: str = ""


ACTIONS: dict[str, Action] = {
    "cancel": Action(jobs.cancel, UNSTARTED | {State.RUNNING}, future="cancelled; running ones are asked to stop"),
    "retry": Action(jobs.retry, FINAL, future="run again"),
    "run now": Action(jobs.run_now, frozenset({State.PENDING}), future="due now"),
    "snooze": Action(jobs.snooze, frozenset({State.PENDING, State.QUEUED}), "until", "due later"),
    "change priority": Action(jobs.change_priority, UNSTARTED, "priority", "given another priority"),
    "change queue": Action(jobs.change_queue, UNSTARTED, "queue", "moved to another queue"),
    "delete": Action(jobs.delete, FINAL, future="deleted, with their attempts and logs"),
}


def start(
    action: str,
    criteria: Mapping[str, str],
    *,
    by: Any,
    origin: Origin | str,
    options: Mapping[str, Any] | None = None,
    id: uuid.UUID | None = None,
) -> Job:
    """Submit the job that does this to every job that matches now.

    Args:
        by: the user on whose behalf; the job leaves out kinds that this user may not act on. A name, or ``None``: no limits.
        options: ``{"priority": 3}``, ``{"queue": "slow"}``, ``{"until": datetime}``, as the action needs.
        id: the job's; a second call with the same changes nothing.

    Raises:
        InputError: names the action, criterion or option that cannot be.
    """
    options = check(action, options or {})
    criteria = {name: text for name, text in criteria.items() if text}
    select(criteria)
    user = by if hasattr(by, "get_username") else None
    with transaction.atomic(using=router.db_for_write(Job)):
        existing = Job.objects.filter(pk=id).first() if id else None
        if existing is not None:
            return existing
        job = submit(bulk_action, {"action": action, "criteria": criteria, "options": options}, submitted_by=user, id=id)
        detail = ", ".join(f"{name} {value}" for name, value in options.items())
        audit(action, by=by, origin=origin, target=TARGET, job=job.pk, criteria=criteria, count=0, detail=detail)
    return job


def check(action: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the action needs, as JSON has them.

    Raises:
        InputError: an unknown action; an option that is missing or cannot be.
    """
    if action not in ACTIONS:
        raise InputError({"action": f"{action!r} is unknown; {did_you_mean(action, ACTIONS)}"})
    name = ACTIONS[action].option
    if not name:
        return {}
    if options.get(name) in (None, ""):
        raise InputError({name: f"is missing: {action} needs it"})
    value = _python(name, options[name])
    ACTIONS[action].do(Job.objects.none(), value)  # refuses what cannot be
    return {name: value.isoformat() if isinstance(value, dt.datetime) else value}


def perform(action: str, rows: QuerySet[Job] | list[uuid.UUID], options: Mapping[str, Any], **more: str) -> Done:
    """Do it to these jobs at once, but for those whose rows are locked: they would hold up all others. ``more``: what else the
    action takes, as ``reason``."""
    known = ACTIONS[action]
    wanted = rows if isinstance(rows, QuerySet) else Job.objects.filter(pk__in=rows)
    with transaction.atomic(using=router.db_for_write(Job), savepoint=False):
        ids = list(wanted.order_by().values_list("pk", flat=True))
        same = Job.objects.filter(pk__in=ids).order_by()
        free = list(same.select_for_update(skip_locked=True).values_list("pk", flat=True))
        there = free if len(free) == len(ids) else list(same.values_list("pk", flat=True))
        arguments = [_python(known.option, options[known.option])] if known.option else []
        return Done(known.do(wanted.filter(pk__in=free), *arguments, **more), sorted(set(there).difference(free)))


def _python(name: str, value: Any) -> Any:
    try:
        if name == "priority":
            return int(value)
        if name == "until" and not isinstance(value, dt.datetime):
            moment = dt.datetime.fromisoformat(str(value))
            if not EARLIEST <= moment.year <= LATEST:
                raise ValueError("too far away")
            return moment if moment.tzinfo else timezone.make_aware(moment)
    except (ValueError, TypeError):
        raise InputError({name: f"{str(value)[:60]!r} cannot be: {_WANTED[name]}"}) from None
    return value


_WANTED = {"priority": "give a whole number from 0 to 9", "until": "write a time as 2026-01-31 13:45"}


@job(name="furrow.bulk_action", permission=ACT, priority=2, retry=RetryPolicy(max_attempts=20))
def bulk_action(action: str, criteria: dict[str, str], options: dict[str, Any]) -> dict[str, Any]:
    """Do one thing to every job that matched when this was submitted. Start it from the list of jobs, which also writes down
    who wanted it.

    Args:
        action: cancel, retry, run now, snooze, change priority, change queue or delete.
        criteria: as in the address of the list of jobs.
        options: what the action needs: priority, queue or until.
    """
    try:
        options = check(action, options)
        entry = AuditEntry.objects.filter(job=current_job.id, target=TARGET).first()
        if entry is None:
            raise Abort("no audit entry for this action: start it from the list of jobs")
        rows = _rows(criteria, action, entry)
    except InputError as error:
        raise Abort(str(error)) from None
    total = rows.count() + entry.count
    while ids := _next_ids(rows, entry.reached):
        for position in range(0, len(ids), BATCH):
            rows = _rows(criteria, action, entry)  # whose permission may have been withdrawn since the last batch
            if not _do_batch(action, rows, ids[position : position + BATCH], options, entry):
                entry.refresh_from_db()
                break
            current_job.progress(min(1.0, entry.count / max(total, 1)), f"{entry.count:,} of about {total:,}")
    if locked := _try_locked(action, rows, options, entry):
        done = {"changed": entry.count, "left alone": max(0, total - entry.count - len(locked))}
        return {**done, "locked": len(locked), "some locked": locked[:NAMED]}
    return {"changed": entry.count, "left alone": max(0, total - entry.count)}


def _try_locked(action: str, rows: QuerySet[Job], options: Mapping[str, Any], entry: AuditEntry) -> list[str]:
    """Try again what was locked; returns what still is after the last try.

    Raises:
        Snooze: another try is to come.
    """
    with transaction.atomic(using=router.db_for_write(Job)):
        mine = AuditEntry.objects.select_for_update().get(pk=entry.pk)
        left, tries = mine.selection.pop("locked", []), mine.selection.pop("tries", 0)
        done = perform(action, rows.filter(pk__in=left), options)
        locked = list(map(str, done.locked))
        if locked:
            mine.selection |= {"locked": locked, "tries": tries + 1}
        mine.count = entry.count = mine.count + done.changed
        mine.save(update_fields=["count", "selection"])
    if locked:
        text = f"Left: {counted(len(locked), 'job')}, of which another transaction has the rows locked; one is {locked[0]}"
        current_job.log("%s", text, level=30)
        if tries < len(TRIES):
            raise Snooze(TRIES[tries], text)
    return locked


def _rows(criteria: dict[str, str], action: str, entry: AuditEntry) -> QuerySet[Job]:
    """What matched when the bulk action was submitted: jobs that were there, and of ended ones those that had ended. So a job
    that it retries and that fails again is not retried again."""
    own = Job.objects.only("created_at", "submitted_by_id").get(pk=entry.job or "")
    user = find_user(own.submitted_by_id)
    gone = user is None and (own.submitted_by_id is not None or entry.origin == Origin.ADMIN)
    if (user is not None and not may_act(user)) or gone:
        reason = f"{entry.who} may no longer act on jobs"
        AuditEntry.objects.filter(pk=entry.pk).update(detail=f"{entry.detail}; stopped: {reason}".removeprefix("; ")[:500])
        raise Abort(reason)
    then = own.created_at
    rows = select(criteria, asked_at=then).filter(
        Q(finished_at__isnull=True) | Q(finished_at__lte=then), created_at__lte=then, state__in=ACTIONS[action].states
    )
    return rows.exclude(kind=bulk_action.name).exclude(kind__in=forbidden_kinds(user) if user is not None else [])


def _next_ids(rows: QuerySet[Job], reached: uuid.UUID | None) -> list[uuid.UUID]:
    further = rows if reached is None else rows.filter(pk__gt=reached)
    return list(further.order_by("pk").values_list("pk", flat=True)[:AHEAD])


def _do_batch(action: str, rows: QuerySet[Job], ids: list[uuid.UUID], options: Mapping[str, Any], entry: AuditEntry) -> bool:
    """One batch, and that it was done, in one transaction; ``False``, and nothing done, when another run has gone further."""
    mine = AuditEntry.objects.filter(Q(reached=entry.reached) if entry.reached else Q(reached__isnull=True), pk=entry.pk)
    with transaction.atomic(using=router.db_for_write(Job)):
        done = perform(action, rows.filter(pk__in=ids), options)
        locked = [*entry.selection.get("locked", []), *map(str, done.locked)][:KEPT]
        selection = {**entry.selection, "locked": locked} if locked else entry.selection
        if not mine.update(count=F("count") + done.changed, reached=ids[-1], selection=selection):
            transaction.set_rollback(True, using=router.db_for_write(Job))
            return False
    entry.reached, entry.count, entry.selection = ids[-1], entry.count + done.changed, selection
    return True
