"""What of the database this code could not run: asked before a deployment, with the new code and the live database."""

import inspect
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

from django.contrib.auth.models import Permission
from django.db.models import Count, Min, QuerySet, TextField
from django.db.models.functions import Cast

from furrow.approvals.deciding import open_approvals
from furrow.approvals.form import load
from furrow.conf import conf
from furrow.errors import ArgumentError, InputError
from furrow.kinds.kind import Kind, find_kind
from furrow.models import Approval, Job, Node, Schedule, Step
from furrow.models.step import Sort
from furrow.states import FINAL

#: Jobs in one read; ids that are named as examples.
AT_ONCE, EXAMPLES = 2_000, 3
#: Names of steps of one kind that are looked at.
STEPS = 1_000


class Refused(NamedTuple):
    """Jobs, schedules or approvals that would not go on."""

    what: str  #: ``jobs``, ``schedules`` or ``approvals``
    name: str  #: of the kind, the queue or the schedule; what an approval asks for
    reason: str  #: and the remedy
    number: int
    examples: list[str]  #: ids of jobs and of approvals, names of schedules
    only_warned: bool = False  #: it may be meant so


def refused(limit: int) -> tuple[list[Refused], int]:
    """All of it, and how many jobs were not looked at: of each kind at most ``limit`` are, the oldest first. Only reads."""
    found, left = list(_unserved()), 0
    open_jobs = Job.objects.exclude(state__in=FINAL).order_by()
    for name, count in open_jobs.values_list("kind").annotate(count=Count("pk")).order_by("kind"):
        kind = find_kind(name)
        if kind is None:
            examples = open_jobs.filter(kind=name).order_by("pk").values_list("pk", flat=True)[:EXAMPLES]
            reason = (
                "no kind of this name: keep it until its jobs have ended, or give the kind that follows it name=… of the old"
            )
            found.append(Refused("jobs", name, reason, count, [str(id) for id in examples]))
            continue
        left += max(0, count - limit)
        found += [*_unreadable(kind, limit), *_steps(kind)]
    return [*found, *_schedules(), *_approvals()], left


def _unserved() -> Iterator[Refused]:
    rows = Job.objects.exclude(state__in=FINAL).exclude(queue__in=conf().all_queues).order_by()
    for queue, count, first in rows.values_list("queue").annotate(count=Count("pk"), first=Min(Cast("pk", TextField()))):
        reason = "no queue of this name: add it to FURROW['QUEUES'], or move its jobs (furrow jobs set-queue)"
        yield Refused("jobs", f"queue {queue}", reason, count, [str(uuid.UUID(first))])


def _unreadable(kind: Kind, limit: int) -> Iterator[Refused]:
    """Jobs whose arguments do not fit, by what is wrong with them."""
    wrong: dict[str, list[str]] = {}
    rows = Job.objects.exclude(state__in=FINAL).filter(kind=kind.name).order_by("pk")
    text = Cast("arguments", TextField())
    for id, arguments, node in rows.annotate(text=text).values_list("pk", "text", "node")[:limit].iterator(AT_ONCE):
        if problem := _problem(_reader(kind, node), arguments):
            wrong.setdefault(problem, []).append(str(id))
    for problem, ids in sorted(wrong.items()):
        reason = f"{problem}. Give the kind @job(upgrade=…), which makes new arguments of old ones"
        yield Refused("jobs", kind.name, reason, len(ids), ids[:EXAMPLES])


def _steps(kind: Kind) -> Iterator[Refused]:
    """Recorded steps whose names do not stand in the module of the handler, word by word; it may make them while it runs."""
    module = sys.modules.get(kind.handler.__module__)
    try:
        source = inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        return
    rows = Step.objects.filter(job__kind=kind.name, sort=Sort.STEP).exclude(job__state__in=FINAL).order_by()
    for name, count in rows.values_list("name").annotate(count=Count("pk")).order_by("name")[:STEPS]:
        if lacking := [word for word in re.findall(r"[^\W\d_]+", name) if word not in source]:
            examples = rows.filter(name=name).values_list("job", flat=True)[:EXAMPLES]
            reason = f"{lacking[0]!r} does not stand in {kind.handler.__module__}: without that step its jobs are held"
            yield Refused("jobs", f"{kind.name}, step {name}", reason, count, [str(id) for id in examples], only_warned=True)


def _reader(kind: Kind, node: uuid.UUID | None) -> Callable[[str], object]:
    """What reads a job's arguments; of a node that waits for results of others, those that are there."""
    late = Node.objects.filter(pk=node).values_list("deferred", flat=True).first() if node else None
    return kind.arguments.without(late).from_json if late else kind.read


def _problem(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except ArgumentError as error:
        return "; ".join(f"{name}: {reason.split(' (given: ')[0]}" for name, reason in error.fields.items())
    return ""


def _schedules() -> Iterator[Refused]:
    for row in Schedule.objects.filter(orphaned_at=None).order_by("name"):
        kind = find_kind(row.kind)
        if kind is None:
            yield Refused("schedules", row.name, f"there is no kind {row.kind!r} any more", 1, [row.name])
        elif problem := _problem(kind.read, json.dumps(row.arguments)):
            yield Refused("schedules", row.name, f"{row.kind}: {problem}", 1, [row.name])


def _approvals() -> Iterator[Refused]:
    """Open ones whose form is gone, or whose permission: a superuser still decides these, and so may a backend of the project's
    own that knows permissions without rows."""
    rows = open_approvals().order_by("pk")
    for path in rows.exclude(form="").order_by().values_list("form", flat=True).distinct():
        try:
            load(path)
        except InputError as error:
            yield _asked(f"form {path}", f"{error.fields['form']}; they can only be rejected", rows.filter(form=path))
    known = {f"{app}.{name}" for app, name in Permission.objects.values_list("content_type__app_label", "codename")}
    for name in sorted({*rows.order_by().values_list("permission", flat=True).distinct()} - known):
        reason = "there is no such permission: nobody but a superuser could decide, unless a backend of the project's knows it"
        yield _asked(f"permission {name}", reason, rows.filter(permission=name))._replace(only_warned=True)


def _asked(name: str, reason: str, rows: QuerySet[Approval]) -> Refused:
    examples = [str(id) for id in rows.values_list("pk", flat=True)[:EXAMPLES]]
    return Refused("approvals", name, reason, rows.count(), examples)
