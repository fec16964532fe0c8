"""Actions of Flower's buttons. Those on a job or worker of Furrow go through the database, so they work without RabbitMQ and
are in the audit log; the others go to Flower."""

import re
import uuid

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from furrow.actions import jobs, permissions, workers
from furrow.actions.audit import audit
from furrow.actions.workers import Action
from furrow.diagnosis.explain import living_workers
from furrow.models import Job, Worker
from furrow.models.audit_entry import Origin
from furrow.statements import clock

_ACT = re.compile(
    r"api/(?P<what>task/(?:revoke|timeout|rate-limit)"
    r"|worker/(?:shutdown|pool/(?:restart|grow|shrink|autoscale)|queue/(?:add-consumer|cancel-consumer)))/(?P<target>.+)"
)
#: What is asked for a whole kind (or for a Celery task), by its name.
_OF_A_KIND = ("task/timeout", "task/rate-limit")
#: Flower's word for what can be asked of our workers.
_OURS = {
    "worker/shutdown": Action.SHUTDOWN,
    "worker/pool/restart": Action.RESTART,
    "worker/queue/cancel-consumer": Action.PAUSE,
    "worker/queue/add-consumer": Action.RESUME,
}


def may_act(request: HttpRequest) -> bool:
    """May press buttons."""
    return permissions.may_act(request.user)


def act(request: HttpRequest, path: str) -> HttpResponse | None:
    """Do what this button asks for; ``None``: Flower shall do it, and may.

    Raises:
        PermissionDenied, Http404: the latter for what no button of Flower's pages asks for.
    """
    match = _ACT.fullmatch(path)
    if match is None:
        raise Http404("Flower's pages have no button for this; jobs are submitted in the admin.")
    if not may_act(request):
        raise PermissionDenied
    what, target = match["what"], match["target"]
    if what in _OF_A_KIND and not permissions.may_act(request.user, target):
        raise PermissionDenied
    done = _revoke(request, target) if what == "task/revoke" else _ask(request, what, target)
    if done is None:
        audit(what.rpartition("/")[2], by=request.user, origin=Origin.FLOWER, target=f"{what.partition('/')[0]} {target}")
    return done


def _revoke(request: HttpRequest, target: str) -> HttpResponse | None:
    """Revoke and Terminate mean the same to a job: cancel it."""
    try:
        job = Job.objects.filter(pk=uuid.UUID(target)).only("kind").first()
    except ValueError:
        job = None
    if job is None:
        return None  # an ordinary Celery task
    if not permissions.may_act(request.user, job.kind):
        raise PermissionDenied
    if not jobs.cancel(job.pk, reason=f"cancelled by {request.user} in Flower"):
        return HttpResponse("The job had ended.", status=409, content_type="text/plain")
    audit("cancel", by=request.user, origin=Origin.FLOWER, target=str(job), job=job.pk)
    return JsonResponse({"message": f"Cancelled job {job.pk}"})


def _ask(request: HttpRequest, what: str, node: str) -> HttpResponse | None:
    """Ask a worker of ours by its name; ``None`` for what Celery itself must do, and for a worker that is none of ours."""
    worker = living_workers(clock.now()).filter(node=node).first()
    action, queue = _OURS.get(what), request.POST.get("queue", "")
    about_queue = action in (Action.PAUSE, Action.RESUME)
    if worker is None or action is None or (about_queue and queue not in worker.queues):
        return None
    return _asked(request, worker, action, queue if about_queue else "")


def _asked(request: HttpRequest, worker: Worker, action: Action, subject: str) -> HttpResponse:
    workers.ask(worker.pk, action, subject=subject, by=request.user.get_username())
    target = f"worker {worker.node}" + (f", queue {subject}" if subject else "")
    audit(action, by=request.user, origin=Origin.FLOWER, target=target)
    return JsonResponse({"message": f"{worker.node} was asked to {action.label} {subject}".rstrip()})
