"""A worker's page, the requests that people send to it, and the page of an answer."""

import datetime as dt
import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from furrow.actions import workers
from furrow.actions.audit import audit
from furrow.actions.permissions import may_act, may_view
from furrow.actions.workers import Action
from furrow.admin import live
from furrow.models import Job, Worker, WorkerRequest
from furrow.models.audit_entry import Origin
from furrow.statements import clock
from furrow.states import State

_ONE, _REQUEST = "admin/furrow/worker/one.html", "admin/furrow/worker/request.html"
#: Running jobs and requests that the page shows at most.
JOBS, REQUESTS = 100, 8
#: A worker that has not taken a request after this long does not look.
LATE = dt.timedelta(seconds=6)


@require_GET
def show(request: HttpRequest, object_id: str) -> HttpResponse:
    """The page of a worker."""
    worker = _find(request, object_id)
    address = reverse("admin:furrow_worker_one_live", args=[worker.pk])
    return live.page(request, _ONE, _one(request, worker), title=f"Worker {worker.node}", address=address, model=Worker)


@require_GET
def one_live(request: HttpRequest, worker: uuid.UUID) -> HttpResponse:
    """Its part that changes."""
    return live.answer(request, _ONE, _one(request, _find(request, worker)))


@require_POST
def ask(request: HttpRequest, worker: uuid.UUID) -> HttpResponse:
    """Ask it to pause or resume a queue, to replace its processes, to shut down."""
    found = _find(request, worker)
    if not may_act(request.user):
        raise PermissionDenied
    action, subject = request.POST.get("action", ""), request.POST.get("subject", "")
    if action not in (Action.PAUSE, Action.RESUME, Action.RESTART, Action.SHUTDOWN) or (
        action in (Action.PAUSE, Action.RESUME) and subject not in found.queues
    ):
        raise Http404(f"A worker cannot be asked to {action!r} {subject!r}.")
    subject = subject if action in (Action.PAUSE, Action.RESUME) else ""
    if workers.ask(found.pk, Action(action), subject=subject, by=request.user.get_username()):
        target = f"worker {found.node}" + (f", queue {subject}" if subject else "")
        audit(action, by=request.user, origin=Origin.ADMIN, target=target)
        messages.success(request, f"The worker was asked to {Action(action).label}; it polls once a second.")
    else:
        messages.warning(request, "Not sent: this worker has ended.")
    return HttpResponseRedirect(reverse("admin:furrow_worker_change", args=[found.pk]))


@require_POST
def ask_for_stack(request: HttpRequest, job: uuid.UUID) -> HttpResponse:
    """Ask where a running job is."""
    found = Job.objects.filter(pk=job).only("kind").first()
    if not may_view(request.user) or (found is not None and not may_act(request.user, found.kind)):
        raise PermissionDenied
    if found is None:
        raise Http404(f"There is no job {job}.")
    asked = workers.ask_for_stack(job, by=request.user.get_username())
    if asked is None:
        messages.warning(request, "Not sent: the job is not running, or its worker is lost.")
        return HttpResponseRedirect(reverse("admin:furrow_job_change", args=[job]))
    audit(Action.STACK, by=request.user, origin=Origin.ADMIN, target=f"job {found.kind}", job=job)
    return HttpResponseRedirect(reverse("admin:furrow_worker_request", args=[asked.pk]))


@require_GET
def show_request(request: HttpRequest, asked: uuid.UUID) -> HttpResponse:
    """The page of a request and its answer."""
    facts = _asked(request, asked)
    title = "Stack" if facts["asked"].action == Action.STACK else "Request to a worker"
    address = "" if facts["asked"].answered_at else reverse("admin:furrow_worker_request_live", args=[asked])
    return live.page(request, _REQUEST, facts, title=title, address=address, model=Worker, every=500)


@require_GET
def request_live(request: HttpRequest, asked: uuid.UUID) -> HttpResponse:
    """Its part that changes."""
    facts = _asked(request, asked)
    return live.answer(request, _REQUEST, facts, last=facts["asked"].answered_at is not None)


# --- Steps ------------------------------------------------------------------------------------------------------------


def condition(worker: Worker) -> str:
    """``living``, ``lost`` (no sign of life, or taken for dead) or ``stopped``."""
    if worker.stopped_at is not None and not worker.lost:
        return "stopped"
    return "lost" if worker.lost or worker.lease_until <= clock.now() else "living"


def memory(worker: Worker) -> int | None:
    """Bytes of all its processes, shared ones counted once if the system says so."""
    seen = worker.stats.get("processes", [])
    return sum(process["pss"] or process["rss"] for process in seen) if seen else None


def _find(request: HttpRequest, worker: uuid.UUID | str) -> Worker:
    """Raises PermissionDenied, Http404."""
    if not request.user.has_perm("furrow.view_worker"):
        raise PermissionDenied
    try:
        found = Worker.objects.filter(pk=worker if isinstance(worker, uuid.UUID) else uuid.UUID(worker)).first()
    except ValueError:
        raise Http404(f"{worker!r} is not the id of a worker.") from None
    if found is None:
        raise Http404(f"There is no worker {worker}; workers that ended long ago are deleted.")
    return found


def _one(request: HttpRequest, worker: Worker) -> dict[str, Any]:
    now, may = clock.now(), may_act(request.user)
    lives = condition(worker) == "living"
    jobs: list[Job] = []
    if may_view(request.user):
        rows = Job.objects.filter(worker=worker.pk, state=State.RUNNING).order_by("started_at")
        jobs = list(rows.defer("arguments", "result", "error")[: JOBS + 1])
    seen = worker.stats.get("processes", [])
    told = worker.stats.get("at")
    processes = [{**process, "since": dt.datetime.fromtimestamp(process["since"], dt.UTC)} for process in seen]
    by_job = {process["job"]: process["pid"] for process in seen if "job" in process}
    return {
        "worker": worker,
        "condition": condition(worker),
        "lives": lives,
        "processes": processes,
        "told": dt.datetime.fromtimestamp(told, dt.UTC) if told else None,
        "memory": memory(worker),
        "jobs": [{"job": job, "pid": by_job.get(str(job.pk)), "seconds": _seconds(job, now)} for job in jobs[:JOBS]],
        "more": len(jobs) > JOBS,
        "sees_jobs": may_view(request.user),
        "may_act": may and lives,
        "requests": [_with_fate(asked, worker) for asked in workers.requests(worker.pk)[:REQUESTS]],
        "lived": ((worker.stopped_at or worker.heartbeat_at) - worker.started_at).total_seconds(),
    }


def _seconds(job: Job, now: dt.datetime) -> float:
    return (now - job.started_at).total_seconds() if job.started_at else 0.0


def _asked(request: HttpRequest, asked: uuid.UUID) -> dict[str, Any]:
    if not request.user.has_perm("furrow.view_worker") and not may_view(request.user):
        raise PermissionDenied
    found = WorkerRequest.objects.filter(pk=asked).first()
    if found is None:
        raise Http404(f"There is no request {asked}; old requests are deleted.")
    job = None
    if found.action == Action.STACK:
        if not may_view(request.user):
            raise PermissionDenied
        job = Job.objects.filter(pk=found.subject).only("kind", "state").first()
    worker = Worker.objects.filter(pk=found.worker).first()
    fate = _with_fate(found, worker)
    return {**fate, "worker": worker, "job": job, "may_act": job is not None and may_act(request.user, job.kind)}


def _with_fate(asked: WorkerRequest, worker: Worker | None) -> dict[str, Any]:
    """A request, and in words how it stands."""
    gone = worker is None or condition(worker) != "living"
    if asked.answered_at:
        fate = "done" if asked.succeeded else "refused"
    elif gone:
        fate = "never"
    elif asked.taken_at:
        fate = "taken"
    else:
        fate = "late" if clock.now() - asked.asked_at > LATE else "asked"
    return {"asked": asked, "fate": fate, "what": Action(asked.action).label}
