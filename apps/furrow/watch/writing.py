"""Write a batch of sightings: a statement for each sort of them, and two for each task."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from furrow.models import WatchedCall, WatchedTask
from furrow.models.database import atomic
from furrow.sanitize import clean
from furrow.watch.sightings import Began, Ended, Published, Sighting

#: Calls are kept for so long, and so many; how often that is looked at, in seconds.
KEPT, MOST_CALLS, LOOK = dt.timedelta(days=3), 100_000, 60.0
_EPOCH = dt.date(1970, 1, 1)
_COUNTED = {"SUCCESS": "succeeded", "FAILURE": "failed", "RETRY": "retried", "REVOKED": "revoked"}
_looked_at = dt.datetime.min.replace(tzinfo=dt.UTC)


def write(batch: list[Sighting]) -> None:
    """Write them, in any order: a worker's may come before the publisher's.

    Raises:
        Error: of the database.
    """
    with atomic():
        _calls(batch)
        waits = _waits(batch)
        for name in sorted({one.task for one in batch if one.task}):
            _task(name, [one for one in batch if one.task == name], waits.get(name, []))
    _prune()


def _calls(batch: list[Sighting]) -> None:
    published = {one.key: one for one in batch if isinstance(one, Published)}
    _upsert(
        (WatchedCall(key=p.key, task=p.task, seen_at=p.at, published_at=p.at, due_at=p.due_at) for p in published.values()),
        ["task", "published_at", "due_at"],
    )
    began = [one for one in batch if isinstance(one, Began)]
    last = {one.key: one for one in began}
    _upsert(
        (WatchedCall(key=b.key, task=b.task, seen_at=b.at, began_at=b.at, worker=b.worker) for b in last.values()),
        ["task", "began_at", "worker"],
    )
    times: dict[int, list[str]] = {}
    for key in last:
        times.setdefault(sum(1 for one in began if one.key == key) if len(last) < len(began) else 1, []).append(key)
    for runs, keys in times.items():
        WatchedCall.objects.filter(key__in=keys).update(runs=F("runs") + runs)
    ended = {one.key: one for one in batch if isinstance(one, Ended)}
    _upsert(
        (WatchedCall(key=e.key, task=e.task, seen_at=e.at, ended_at=e.at, outcome=e.outcome) for e in ended.values()),
        ["ended_at", "outcome"],
    )


def _waits(batch: list[Sighting]) -> dict[str, list[float]]:
    """Seconds from published (or due) to begun, by task: of calls of which now both are known, and were not before."""
    began = {one.key for one in batch if isinstance(one, Began)}
    published = {one.key for one in batch if isinstance(one, Published)}
    rows = WatchedCall.objects.filter(key__in=began | published, published_at__isnull=False, began_at__isnull=False, runs=1)
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.began_at and row.published_at:
            due = max(row.published_at, row.due_at or row.published_at)
            found.setdefault(row.task, []).append(max(0.0, (row.began_at - due).total_seconds()))
    return found


def _upsert(rows: Iterable[WatchedCall], columns: list[str]) -> None:
    """In the order of their keys, as every process does."""
    found = sorted(rows, key=lambda row: row.key)
    WatchedCall.objects.bulk_create(found, update_conflicts=True, unique_fields=["key"], update_fields=columns)


def _task(name: str, seen: list[Sighting], waits: list[float]) -> None:
    WatchedTask.objects.bulk_create([WatchedTask(name=name, first_seen=timezone.now())], ignore_conflicts=True)
    published = [one for one in seen if isinstance(one, Published)]
    began = [one for one in seen if isinstance(one, Began)]
    ended = [one for one in seen if isinstance(one, Ended)]
    changes: dict[str, Any] = {}
    if published:
        changes |= {"published": F("published") + len(published), "last_published": max(one.at for one in published)}
    if began:
        changes |= {"began": F("began") + len(began), "last_began": max(one.at for one in began)}
    changes |= _sums("waited", "wait_seconds", "longest_wait", waits)
    if ended:
        for outcome, column in _COUNTED.items():
            if count := sum(1 for one in ended if one.outcome == outcome):
                changes[column] = F(column) + count
        changes |= _sums("", "run_seconds", "longest_run", [one.seconds for one in ended if one.seconds is not None])
        if failed := [one for one in ended if one.outcome == "FAILURE"]:
            changes |= {"last_failed": failed[-1].at, "last_error": clean(failed[-1].error)[:2_000]}
    WatchedTask.objects.filter(name=name).update(**changes)
    if began:
        _count_day(name, max(one.at for one in began))
    if uses := {use for one in published for use in one.uses}:
        _add_uses(name, uses)


def _sums(count: str, total: str, longest: str, values: list[float]) -> dict[str, Any]:
    if not values:
        return {}
    changes: dict[str, Any] = {total: F(total) + sum(values), longest: Greatest(longest, max(values))}
    return changes | ({count: F(count) + len(values)} if count else {})


def _count_day(name: str, at: dt.datetime) -> None:
    """Once a day it makes the streak longer, or begins a new one."""
    day = (at.date() - _EPOCH).days
    rows = WatchedTask.objects.filter(name=name, last_day__lt=day)
    if rows.exists():
        rows.filter(last_day=day - 1).update(streak=F("streak") + 1, last_day=day)
        rows.update(streak=1, last_day=day)


def _add_uses(name: str, uses: set[str]) -> None:
    row = WatchedTask.objects.select_for_update().get(name=name)
    if uses - {*row.uses.split()}:
        row.uses = " ".join(sorted(uses | {*row.uses.split()}))
        row.save(update_fields=["uses"])


def _prune() -> None:
    global _looked_at
    now = timezone.now()
    if (now - _looked_at).total_seconds() < LOOK:
        return
    _looked_at = now
    newest = WatchedCall.objects.order_by("-pk").values_list("pk", flat=True)[MOST_CALLS : MOST_CALLS + 1]
    WatchedCall.objects.filter(Q(seen_at__lt=now - KEPT) | Q(pk__lte=max([0, *newest]))).delete()
