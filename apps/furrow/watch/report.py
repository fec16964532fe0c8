"""What the rows of watched tasks say."""

import datetime as dt
from typing import NamedTuple

from django.db.models import Count, Q

from furrow.models import WatchedCall, WatchedTask

#: A call that has not begun, or a run that has not ended, for so long is taken for lost, or stuck.
LATE = dt.timedelta(hours=1)
#: A task that ran on so many days in a row, and then not for so long, is missed; and for how long that is said.
DAYS, SILENT, TOLD = 3, dt.timedelta(hours=26), dt.timedelta(days=14)
#: What adoption does with a call that uses this.
USES = {
    "chain": "a chain: it becomes a workflow",
    "chord": "a chord: it becomes a workflow",
    "group": "a group: it becomes a workflow",
    "link": "link: it becomes a workflow",
    "link_error": "link_error: it becomes a workflow",
    "pickle": "a serializer that is not JSON: the task stays plain",
    "routing_key": "a queue of its own: the job is in the one of FURROW['QUEUES'] of that name, else in the first",
    "priority": "a priority: as Celery's, of which two share a level of jobs",
    "expires": "expires: as the job's",
    "eta": "eta or countdown: a column of the job",
    "ignore_result": "ignore_result: the job's row has no result",
}


class Saved(NamedTuple):
    """Calls of a task that jobs would have been saved from, among those that are kept."""

    lost: int = 0  #: published, due, and not begun for an hour
    twice: int = 0  #: begun more than once, and no retry
    stuck: int = 0  #: begun, and no end seen for an hour


def lost(now: dt.datetime) -> Q:
    """Calls that were published and never began."""
    return Q(runs=0, ended_at=None, published_at__lt=now - LATE) & (Q(due_at=None) | Q(due_at__lt=now - LATE))


def twice() -> Q:
    """Calls that began more than once."""
    return Q(runs__gt=1)


def stuck(now: dt.datetime) -> Q:
    """Runs whose end nobody saw."""
    return Q(runs__gt=0, ended_at=None, began_at__lt=now - LATE)


def saved(now: dt.datetime) -> dict[str, Saved]:
    """Per task. Calls of a task that nobody was seen to run say nothing: its workers do not watch."""
    watched = WatchedTask.objects.exclude(last_began=None).values("name")
    rows = WatchedCall.objects.filter(lost(now) | twice() | stuck(now), task__in=watched).values("task")
    found = rows.order_by("task").annotate(
        lost=Count("pk", filter=lost(now)), twice=Count("pk", filter=twice()), stuck=Count("pk", filter=stuck(now))
    )
    return {row["task"]: Saved(row["lost"], row["twice"], row["stuck"]) for row in found}


def missed(now: dt.datetime) -> list[WatchedTask]:
    """Tasks that ran daily, and have not since."""
    silent = WatchedTask.objects.filter(streak__gte=DAYS, last_began__lt=now - SILENT, last_began__gt=now - TOLD)
    return list(silent.order_by("name"))
