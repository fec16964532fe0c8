"""What people do with backfills: preview, start, pause, resume, cancel, retry what failed. Who calls has looked at permissions,
and audits."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError
from django.db.models import F, QuerySet

from furrow import statements
from furrow.actions import bulk
from furrow.actions.jobs import retry
from furrow.backfills.plan import Plan
from furrow.backfills.queries import as_json
from furrow.errors import InputError
from furrow.models import Backfill, Job
from furrow.models.backfill import OPEN, BackfillState
from furrow.models.database import atomic, connection
from furrow.states import FINAL, State

#: Rows that are counted; of more it is said that there are more.
COUNTED = 1_000_000
#: Keys of rows whose jobs a preview shows.
SHOWN = 3
#: Jobs that one transaction retries.
AT_ONCE = 1_000
#: States of jobs that have not ended.
UNENDED = sorted(set(State) - FINAL)


@dataclass(frozen=True)
class Preview:
    """What a backfill would do."""

    #: Rows; more than are counted where ``more``.
    rows: int
    more: bool
    jobs: int
    first: Any
    last: Any
    #: The arguments of the first job.
    example: dict[str, Any] | None


def preview(rows: QuerySet[Any], plan: Plan) -> Preview:
    """Look at the rows, and at the first job.

    Raises:
        ArgumentError: the kind does not take what it would be given.
    """
    keys = rows.order_by("pk").values_list("pk", flat=True)
    size = plan.batch or 1
    some = list(dict.fromkeys(as_json(key) for key in keys[: min(size, SHOWN)]))
    if not some:
        return Preview(0, False, 0, None, None, None)
    plan.kind.arguments.to_json(example := plan.of(some))
    count = rows.order_by().values("pk").distinct()[: COUNTED + 1].count()
    last = as_json(keys.reverse().first())
    return Preview(min(count, COUNTED), count > COUNTED, -(-min(count, COUNTED) // size), some[0], last, example)


def begin(
    name: str, rows: QuerySet[Any], plan: Plan, *, parameters: Any = None, query: dict[str, Any] | None = None, by: Any = None
) -> Backfill:
    """Start one, in the caller's transaction; the leading dispatcher adds the jobs.

    Raises:
        ArgumentError: the kind does not take what it would be given.
        InputError: the same is under way.
    """
    found = preview(rows, plan)
    same = [name, parameters, query, plan.kind.name, plan.argument, plan.arguments]
    with atomic():
        now = statements.on(connection).clock(connection)
        row = Backfill(
            name=name,
            parameters=parameters or {},
            query=query,
            kind=plan.kind.name,
            argument=plan.argument,
            arguments=plan.arguments,
            options=plan.options,
            batch=plan.batch,
            rate=plan.rate,
            ahead=plan.ahead,
            max_failures=plan.max_failures,
            identity=hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest(),
            first=found.first,
            last=found.last,
            total=None if found.more else found.rows,
            submitted_by_id=getattr(by, "pk", None),
            created_at=now,
            resumed_at=now,
            next_at=now,
            exhausted_at=None if found.rows else now,
        )
        try:
            with atomic():
                row.save(force_insert=True)
        except IntegrityError:
            there = Backfill.objects.filter(identity=row.identity, state__in=OPEN).first()
            raise InputError({"backfill": f"the same is under way ({there and there.pk}): resume or cancel that one"}) from None
    return row


def pause(row: Backfill, *, reason: str = "") -> bool:
    """It adds no more jobs; those that it has added go on. ``False`` when it does not run."""
    running = Backfill.objects.filter(pk=row.pk, state=BackfillState.RUNNING)
    return bool(running.update(state=BackfillState.PAUSED, next_at=None, held="", reason=reason.replace("\0", "")[:500]))


def resume(row: Backfill) -> bool:
    """It goes on where it was; what failed so far is forgiven. ``False`` when it is neither paused nor stopped."""
    now = statements.on(connection).clock(connection)
    failed = Job.objects.filter(batch=row.pk, state=State.FAILED).count()
    return bool(
        Backfill.objects.filter(pk=row.pk, state__in=[BackfillState.PAUSED, BackfillState.STOPPED]).update(
            state=BackfillState.RUNNING,
            next_at=now,
            reason="",
            held="",
            forgiven=failed,
            failed=failed,
            resumed_at=now,
            resumed_rows=F("rows"),
        )
    )


def cancel(row: Backfill, *, reason: str = "") -> bool:
    """It ends here, and its jobs that have not ended are cancelled. ``False`` when it has ended."""
    with atomic():
        now = statements.on(connection).clock(connection)
        unended = Backfill.objects.filter(pk=row.pk, state__in=OPEN)
        text = reason.replace("\0", "")[:500]
        if not unended.update(state=BackfillState.CANCELLED, next_at=None, held="", reason=text, finished_at=now):
            return False
        jobs = Job.objects.filter(batch=row.pk, state__in=UNENDED)
        bulk.perform("cancel", jobs, {}, reason=f"the backfill {row.name} was cancelled")
    return True


def retry_failed(row: Backfill) -> int:
    """Run those of its jobs again that failed; returns how many. What the row counts as failed is counted anew."""
    changed = 0
    failed = Job.objects.filter(batch=row.pk, state=State.FAILED).order_by("pk")
    ids = list(failed.values_list("pk", flat=True))
    for place in range(0, len(ids), AT_ONCE):
        changed += retry(failed.filter(pk__in=ids[place : place + AT_ONCE]).order_by())
    if changed:
        now = statements.on(connection).clock(connection)
        ended = Backfill.objects.filter(pk=row.pk, state=BackfillState.ENDED)
        with suppress(IntegrityError), atomic():  # another one of the same rows is under way: this one stays ended
            ended.update(state=BackfillState.RUNNING, finished_at=None, next_at=now)
    return changed


#: What may be done to one that was started.
ACTS: dict[str, Callable[..., int]] = {"pause": pause, "resume": resume, "cancel": cancel, "retry": retry_failed}
