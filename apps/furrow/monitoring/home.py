"""Home: problems, jobs by state, what ended and failed, waits and run times, workers.

It keeps itself true. Each part is there for those who may see it. Nothing is counted that is many: what ended comes from the
counts, what waits is counted along indexes to a limit.
"""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from furrow.admin import live, theme
from furrow.diagnosis import lockers
from furrow.diagnosis import troubles as noted
from furrow.diagnosis.explain import living_workers
from furrow.diagnosis.figures import COUNTED, QueueFigures, queue_figures
from furrow.diagnosis.titles import with_titles
from furrow.diagnosis.unserved import unserved_queues
from furrow.models import DeadMessage, Drift, Job, Leader, Worker
from furrow.models.database import connection
from furrow.monitoring import rates, troubles
from furrow.monitoring.charts import chart
from furrow.monitoring.stores import Health, healths
from furrow.statements import clock
from furrow.states import State

HOUR = 3600
#: Rows of each list.
FAILURES, KINDS, WORKERS, RUNNING, TROUBLES = 6, 12, 20, 4, 10

_BODY = "furrow/monitoring/home_body.html"


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the first page (Unfold's ``DASHBOARD_CALLBACK``)."""
    markup, mark = live.part(request, _BODY, facts(Sight(request.user.has_perm)))
    return context | {"media": theme.MEDIA, "part": markup, "mark": mark, "address": reverse("furrow:home_live")}


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The same as a page of its own, for admin sites that have another first page."""
    around, address = "furrow/monitoring/home.html", reverse("furrow:home_live")
    return live.page(request, _BODY, facts(Sight(request.user.has_perm)), title="Overview", address=address, around=around)


@require_GET
def home_live(request: HttpRequest) -> HttpResponse:
    """The part that changes."""
    return live.answer(request, _BODY, facts(Sight(request.user.has_perm)))


class Sight:
    """What a person may see. ``may``: whether they have a permission."""

    def __init__(self, may: Callable[[str], bool]) -> None:
        self.jobs, self.queues = may("furrow.view_job"), may("furrow.view_queue")
        self.workers, self.leader = may("furrow.view_worker"), may("furrow.view_leader")
        self.drift, self.dead = may("furrow.view_drift"), may("furrow.view_deadmessage")

    @property
    def nothing(self) -> bool:
        """They may see no part."""
        return not any(vars(self).values())


def facts(sees: Sight) -> dict[str, Any]:
    """The parts that may be seen, and the troubles, grave ones first."""
    now = clock.now()
    facts: dict[str, Any] = {"now": now, "sees": sees, "counted": COUNTED, "troubles": [], "limit": WORKERS}
    queues = queue_figures(now) if sees.jobs or sees.queues else []
    workers = list(living_workers(now).order_by("node")) if sees.workers or sees.queues else []
    if sees.leader:
        facts |= _system(now)
        waiting = [queue.oldest for queue in queues if queue.oldest and not queue.paused]
        facts["lag"], facts["knows_lag"] = min(waiting, default=None), bool(queues)
    if sees.workers:
        facts["workers"] = _working(workers[:WORKERS], named=sees.jobs)
        facts["more_workers"] = len(workers) - WORKERS
        facts["troubles"] += troubles.of_workers(workers)
    if sees.queues:
        facts["queues"] = queues
        facts["troubles"] += troubles.of_unserved(unserved_queues())
        facts["troubles"] += troubles.of_queues(queues, now, any_worker=bool(workers))
    if sees.jobs:
        facts |= _jobs(now, queues)
        facts["troubles"] += troubles.of_rates(facts["day"])
    drift = list(Drift.objects.filter(found__gt=0)) if sees.drift else []
    facts["troubles"] += [*troubles.of_drift(drift), *troubles.of_clock(drift)]
    if sees.drift or sees.workers:
        told = workers if sees.workers else []
        facts["troubles"] += troubles.of_locks(drift, told, lockers.of_any() if sees.leader else [])
    if sees.dead:
        facts["troubles"] += troubles.of_dead_messages(DeadMessage.objects.count())
    facts["troubles"] = sorted([*facts.pop("system_troubles", []), *facts["troubles"]], key=lambda trouble: not trouble.grave)
    return facts


def _system(now: dt.datetime) -> dict[str, Any]:
    """The dispatcher and the stores."""
    leader = Leader.objects.filter(role="dispatcher").first()
    begin = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    name = "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"
    stores = [Health(name, "", None, time.monotonic() - begin), *healths()]
    return {
        "leader": leader,
        "leads": bool(leader and leader.lease_until > now),
        "stores": stores,
        "system_troubles": [
            *troubles.of_leader(leader, now),
            *troubles.of_stores(stores),
            *troubles.of_noted(list(noted.current()[:TROUBLES])),
        ],
    }


def _jobs(now: dt.datetime, queues: list[QueueFigures]) -> dict[str, Any]:
    hour, day = rates.by_time(now, 60, 60), rates.by_time(now, 144, 600)
    kinds = rates.by_kind(now, HOUR)
    return {
        "day": day,
        "counts": [*_standing(queues), *_ended(day)],
        "charts": [chart("Last hour", hour, 60), chart("Last 24 hours", day, 600)],
        "rate": sum(point.ended for point in hour[-2:-1]),
        "kinds": kinds[:KINDS],
        "more_kinds": len(kinds) - KINDS,
        "failures": _failures(),
    }


def _standing(queues: list[QueueFigures]) -> list[dict[str, Any]]:
    """Jobs that have not ended; of a queue that has more than the limit, the limit: "10,000+"."""
    rows = [
        (State.PENDING, "due", [queue.due for queue in queues]),
        (State.PENDING, "later", [queue.scheduled for queue in queues]),
        (State.QUEUED, "in RabbitMQ", [queue.queued for queue in queues]),
        (State.RUNNING, "now", [queue.running for queue in queues]),
    ]
    found = []
    for state, note, counts in rows:
        more = max(counts, default=0) > COUNTED
        found.append({"state": state, "note": note, "count": COUNTED if more else sum(counts), "more": more})
    return found


def _ended(day: list[rates.Point]) -> list[dict[str, Any]]:
    states = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    return [{"state": state, "note": "last 24 h", "count": sum(getattr(point, state) for point in day)} for state in states]


def _failures() -> QuerySet[Any]:
    rows = Job.objects.filter(state=State.FAILED, finished_at__isnull=False).order_by("-finished_at")
    found: QuerySet[Any] = with_titles(rows.only("kind", "finished_at", "attempt")).annotate(error_start=Left("error", 200))
    return found[:FAILURES]


def _working(workers: list[Worker], *, named: bool) -> list[dict[str, Any]]:
    """Each worker and what it runs now, the longest first; which jobs those are only for who may see jobs."""
    ids = [worker.pk for worker in workers]
    running = Job.objects.filter(state=State.RUNNING, worker__in=ids).order_by()
    counts = dict(running.values_list("worker").annotate(Count("pk")))
    jobs: dict[Any, list[Job]] = {}
    if named:
        for job in running.only("kind", "worker", "started_at").order_by("started_at")[: WORKERS * 50]:
            jobs.setdefault(job.worker, []).append(job)
    return [
        {
            "worker": worker,
            "count": (n := counts.get(worker.pk, 0)),
            "jobs": (some := jobs.get(worker.pk, [])[:RUNNING]),
            "more": n - len(some),
        }
        for worker in workers
    ]
