"""Moving: the leading dispatcher adds jobs of the rows that come next, and remembers in the same transaction how far it came.

Rows are read before that transaction. Then the backfill's row is locked, and must still be where it was when they were read: so
whoever is killed, and whoever else leads at the same moment, no row has two jobs, and none is passed by.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models import F
from django.db.models.functions import Now

from furrow import statements
from furrow.backfills.acting import UNENDED
from furrow.backfills.declared import rows_of
from furrow.backfills.plan import Plan
from furrow.backfills.queries import as_json, key_of
from furrow.errors import FurrowError, NotUnique
from furrow.kinds.kind import get_kind
from furrow.limits.limit import rate_of
from furrow.models import Backfill, Job
from furrow.models.backfill import BackfillState
from furrow.models.database import atomic, connection
from furrow.models.job import new_id
from furrow.models.users import find_user
from furrow.plural import counted
from furrow.statements import sessions
from furrow.states import State
from furrow.submission.submit import submit_many

#: Backfills that are looked at before the clock is read again; jobs, and rows, of one transaction.
FEW, JOBS, ROWS = 20, 1_000, 10_000
#: Until one that adds jobs is looked at again, one that waits for its jobs, and one that could not add any.
SOON, LATER, AGAIN = dt.timedelta(seconds=0.1), dt.timedelta(seconds=0.5), dt.timedelta(seconds=30)
#: Of a share that may fail: it is looked at once so many jobs have ended.
ENOUGH = 20


def move_due(failed: Callable[[str, Exception], None]) -> int:
    """Move those whose time has come; returns how many jobs were added.

    Args:
        failed: is told of what, and of an exception that nobody expected; that backfill is tried again later.

    Raises:
        django.db.Error: the database of the jobs is away.
    """
    now = statements.on(connection).clock(connection)
    due = Backfill.objects.filter(state=BackfillState.RUNNING, next_at__lte=now).order_by("next_at")[:FEW]
    return sum(_moved(row, now, failed) for row in due)


def _moved(row: Backfill, now: dt.datetime, failed: Callable[[str, Exception], None]) -> int:
    tell: Exception | None = None
    try:
        return _move(row, now)
    except (OperationalError, InterfaceError) as error:
        if sessions.contended(error) or not connection.is_usable():
            raise
        why = f"the database of the rows: {sessions.what_is_wrong(error)} ({str(error).strip()})"
    except FurrowError as error:
        why = str(error)
    except Exception as error:
        why, tell = f"{type(error).__name__}: {error}", error
    if tell is not None:
        failed(f"backfill {row.name}", tell)
    _update(row, held=why.replace("\0", "")[:500], next_at=now + AGAIN)
    return 0


def _move(row: Backfill, now: dt.datetime) -> int:
    """Stop it, end it, or add what there is room for."""
    jobs = Job.objects.filter(batch=row.pk).order_by()
    unended = jobs.filter(state__in=UNENDED)[: row.ahead].count()
    failures = jobs.filter(state=State.FAILED).count()
    if why := _too_many(row, failures, row.made - row.existed - unended):
        _update(row, state=BackfillState.STOPPED, reason=why, failed=failures, next_at=None, held="")
        return 0
    if row.exhausted_at is not None:
        ends = {"next_at": now + LATER} if unended else {"state": BackfillState.ENDED, "next_at": None, "finished_at": now}
        _update(row, failed=failures, held="", **ends)
        return 0
    plan = plan_of(row)
    room, each = _room(row, row.ahead - unended)
    if not room:
        _update(row, failed=failures, next_at=now + SOON)
        return 0
    keys = _keys(row, room * (row.batch or 1))
    if not keys:
        _update(row, failed=failures, exhausted_at=now, held="", next_at=now)
        return 0
    size = row.batch or 1
    added = [keys[place : place + size] for place in range(0, len(keys), size)]
    due = row.next_at if row.next_at is not None and now - row.next_at < dt.timedelta(seconds=1) else now
    return _add(row, plan, added, due + each * len(added) if each else now + SOON, failures)


def plan_of(row: Backfill) -> Plan:
    """What becomes of its rows.

    Raises:
        UnknownKind: the kind is gone.
    """
    return Plan(get_kind(row.kind), row.argument, row.batch, row.rate, row.max_failures, row.ahead, row.arguments, row.options)


def _too_many(row: Backfill, failures: int, made: int) -> str:
    """Why it stops: more failed than may."""
    new, most = failures - row.forgiven, row.max_failures
    if most is None or new <= 0:
        return ""
    if 0 < most < 1:
        return f"{new:,} of {counted(made, 'job')} failed: more than {most:.1%}" if made >= ENOUGH and new > made * most else ""
    return f"{counted(new, 'job')} failed: more than {most:,.0f}" if new > most else ""


def _room(row: Backfill, free: int) -> tuple[int, dt.timedelta | None]:
    """How many jobs may be added now, and after how long for each of them the next."""
    most = min(free, JOBS, max(1, ROWS // (row.batch or 1)))
    if not row.rate:
        return most, None
    starts, period = rate_of(row.rate)
    each = period / starts
    return min(most, max(1, int(1 / each))), dt.timedelta(seconds=each)


def _keys(row: Backfill, number: int) -> list[Any]:
    """Of the rows that come next, as JSON; a row that a join gives twice once."""
    rows = rows_of(row)
    found = rows.order_by("pk").filter(pk__lte=key_of(rows.model, row.last))
    if row.reached is not None:
        found = found.filter(pk__gt=key_of(rows.model, row.reached))
    return list(dict.fromkeys(as_json(key) for key in found.values_list("pk", flat=True)[:number]))


def _add(row: Backfill, plan: Plan, parts: list[list[Any]], next_at: dt.datetime, failures: int) -> int:
    """One transaction: the jobs, and how far it came. None when somebody else moved it."""
    user = find_user(row.submitted_by_id)
    with atomic():
        here = Backfill.objects.filter(pk=row.pk, state=BackfillState.RUNNING, rows=row.rows).select_for_update(
            skip_locked=True
        )
        if here.first() is None:
            return 0
        existed = _submit(row, plan, parts, user)
        Backfill.objects.filter(pk=row.pk).update(
            reached=parts[-1][-1],
            rows=F("rows") + sum(map(len, parts)),
            made=F("made") + len(parts),
            existed=F("existed") + existed,
            failed=failures,
            held="",
            next_at=next_at,
            exhausted_at=Now() if parts[-1][-1] == row.last else None,
        )
    return len(parts)


def _submit(row: Backfill, plan: Plan, parts: list[list[Any]], user: Any) -> int:
    """Returns how many of the jobs were there already: of a unique kind."""
    ids = [new_id() for _ in parts]
    try:
        with atomic():
            given = submit_many(
                plan.kind, [plan.of(keys) for keys in parts], ids=ids, batch=row.pk, submitted_by=user, **plan.options
            )
    except NotUnique:
        if len(parts) == 1:
            return 1
        return sum(_submit(row, plan, [keys], user) for keys in parts)
    return sum(id not in ids for id in given)


def _update(row: Backfill, **columns: Any) -> None:
    """Unless somebody moved it meanwhile."""
    Backfill.objects.filter(pk=row.pk, state=BackfillState.RUNNING, rows=row.rows).update(**columns)
