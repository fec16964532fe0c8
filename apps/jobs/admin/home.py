"""The first page: how many jobs stand where, who works, who leads, what failed last."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps.jobs.explain import living_workers
from apps.jobs.models import Job, Leader
from apps.jobs.states import State

#: Jobs are counted up to this number; the page says "10,000+" beyond it.
COUNTED = 10_000
FAILURES = 8

admin.site.index_template = "admin/jobs/home.html"
admin.site.index_title = "Overview"


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the first page; jobs only for those who may see jobs."""
    now = timezone.now()
    if request.user.has_perm("jobs.view_job"):
        context |= {"counts": _counts(now), "failures": _failures()}
    if request.user.has_perm("jobs.view_worker"):
        context["workers"] = list(living_workers(now)[:20])
    if request.user.has_perm("jobs.view_leader"):
        leader = Leader.objects.filter(role="dispatcher").first()
        context |= {"shows_leader": True, "leader": leader, "leads": bool(leader and leader.lease_until > now)}
    return context


def _counts(now: dt.datetime) -> list[dict[str, Any]]:
    """Each count is a walk along one index, with an end. Jobs that wait for others have no index yet and are left out."""
    jobs = reverse("admin:jobs_job_changelist")
    pending = Job.objects.filter(state=State.PENDING)
    rows = [
        (State.PENDING, "due", pending.filter(run_at__lte=now)),
        (State.PENDING, "later", pending.filter(run_at__gt=now)),
        (State.QUEUED, "in RabbitMQ", Job.objects.filter(state=State.QUEUED)),
        (State.RUNNING, "now", Job.objects.filter(state=State.RUNNING)),
    ]
    since = now - dt.timedelta(hours=24)
    for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
        rows.append((state, "last 24 h", Job.objects.filter(state=state, finished_at__gte=since)))
    return [
        {"state": state, "note": note, "link": f"{jobs}?state={state}", **_limited_count(found)} for state, note, found in rows
    ]


def _limited_count(rows: QuerySet[Job]) -> dict[str, Any]:
    count = rows.order_by()[: COUNTED + 1].count()
    return {"count": min(count, COUNTED), "more": count > COUNTED}


def _failures() -> QuerySet[Any]:
    rows = Job.objects.filter(state=State.FAILED, finished_at__isnull=False).order_by("-finished_at")
    return rows.only("kind", "finished_at", "attempt").annotate(error_start=Left("error", 200))[:FAILURES]
