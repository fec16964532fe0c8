"""Look at the engine: kinds, queues, workers, errors, health. Pause and resume queues."""

from typing import Any, Literal

from django.http import Http404, HttpRequest
from ninja import Router

from furrow.actions import queues
from furrow.actions.audit import audit
from furrow.actions.permissions import may_submit, may_view
from furrow.admin.forms.words import inputs
from furrow.api.auth import Caller, caller, needs
from furrow.api.engine_shapes import Changed, ErrorGroups, Health, KindShape, QueueShape, Stats, WholeKind, WorkerShape
from furrow.api.shapes import Pause
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.diagnosis.as_json import kind_json, queue_json, stats_json, utc, worker_json
from furrow.diagnosis.commands import worker_command
from furrow.diagnosis.error_groups import PERIODS, USUAL, error_groups
from furrow.diagnosis.explain import living_workers
from furrow.diagnosis.figures import queue_figures
from furrow.errors import UnknownKind, UnknownQueue, did_you_mean
from furrow.kinds.kind import BUILT_IN, Kind, all_kinds, get_kind
from furrow.models import Leader
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.sanitize import clean
from furrow.statements import clock

router = Router(auth=needs(Scope.READ), tags=["engine"])

Period = Literal["1h", "24h", "7d", "30d"]


@router.get("/kinds", response=list[KindShape], operation_id="list_kinds")
def list_kinds(request: HttpRequest) -> Any:
    """The kinds of job, with JSON schemas of their arguments: all for who may see jobs, else those that may be submitted."""
    return [kind_json(kind) for kind in all_kinds() if _sees(caller(request), kind)]


@router.get("/kinds/{name}", response=WholeKind, operation_id="get_kind")
def get_one_kind(request: HttpRequest, name: str) -> Any:
    """One kind of job."""
    try:
        kind = get_kind(name)
    except UnknownKind:
        kind = None
    if kind is None or not _sees(caller(request), kind):
        raise Http404(f"There is no kind {name[:200]!r}: /kinds lists them.")
    return {**kind_json(kind), "inputs": inputs(kind)}


def _sees(who: Caller, kind: Kind) -> bool:
    own = not kind.name.startswith(BUILT_IN) and who.has_kind(kind.name)
    return own and (may_view(who.user) or may_submit(who.user, kind))


# --- Queues -----------------------------------------------------------------------------------------------------------


@router.get("/queues", response=list[QueueShape], operation_id="list_queues")
def list_queues(request: HttpRequest) -> Any:
    """The queues, and what stands in them."""
    caller(request).must_see("queue")
    return [queue_json(queue) for queue in queue_figures(clock.now())]


@router.post("/queues/{name}/pause", response=Changed, auth=needs(Scope.ACT), operation_id="pause_queue")
def pause_queue(request: HttpRequest, name: str, pause: Pause) -> Any:
    """Let nothing of a queue begin any more; with ``drain`` let run what RabbitMQ has already."""
    who, reason = caller(request), clean(pause.reason).strip()
    who.must_act_on_queues()
    _must_be(name)
    with atomic():
        changed = queues.pause(name, by=who.user.get_username(), reason=reason, drain=pause.drain)
        _write_down(who, "drain" if pause.drain else "pause", name, changed, reason)
    return _condition(name, changed)


@router.post("/queues/{name}/resume", response=Changed, auth=needs(Scope.ACT), operation_id="resume_queue")
def resume_queue(request: HttpRequest, name: str) -> Any:
    """Let a queue go on."""
    who = caller(request)
    who.must_act_on_queues()
    _must_be(name)
    with atomic():
        changed = queues.resume(name)
        _write_down(who, "resume", name, changed)
    return _condition(name, changed)


def _must_be(name: str) -> None:
    if name not in conf().queues:
        raise UnknownQueue(f"There is no queue {name[:100]!r}: {did_you_mean(name[:100], conf().queues)}.")


def _write_down(who: Caller, action: str, name: str, changed: bool, detail: str = "") -> None:
    if changed:
        audit(action, by=who.user, origin=Origin.API, target=f"queue {name}", detail=detail, token=who.named)


def _condition(name: str, changed: bool) -> dict[str, Any]:
    (queue,) = queue_figures(clock.now(), name)
    return {"queue": name, "condition": queue.condition, "changed": changed}


@router.get("/stats", response=Stats, operation_id="get_stats")
def get_stats(request: HttpRequest) -> Any:
    """What stands in each queue, how each kind fared in the last hour, and the workers that live."""
    who = caller(request)
    who.must_view()
    who.must_see("queue")
    who.must_see("worker")
    return stats_json(clock.now(), who.kinds)


# --- Workers, errors, health ------------------------------------------------------------------------------------------


@router.get("/workers", response=list[WorkerShape], operation_id="list_workers")
def list_workers(request: HttpRequest) -> Any:
    """The workers that live."""
    caller(request).must_see("worker")
    return [worker_json(worker) for worker in living_workers(clock.now()).order_by("node")]


@router.get("/errors", response=ErrorGroups, operation_id="list_errors")
def list_errors(request: HttpRequest, period: Period = USUAL, kind: str = "") -> Any:  # type: ignore[assignment]
    """Failures that are alike, grouped, the newest first."""
    who = caller(request)
    who.must_view()
    if kind and not who.has_kind(kind):
        return {"groups": [], "more": 0}
    groups, total = error_groups(clock.now(), PERIODS[period] * 3600, [kind] if kind else sorted(who.kinds))
    return {"groups": [_group(group) for group in groups], "more": total - len(groups)}


def _group(found: dict[str, Any]) -> dict[str, Any]:
    named = found["group"]
    return {
        **{name: found[name] for name in ("kind", "fingerprint", "runs", "jobs", "place")},
        "error_type": named.error_type if named else "",
        "message": named.message if named else "",
        "first_seen": utc(named.first_seen) if named else None,
        "last_seen": utc(found["last"]),
        "newest_job": named.newest if named else None,
    }


@router.get("/health", response=Health, operation_id="get_health")
def get_health(request: HttpRequest) -> Any:
    """Whether jobs run, and what is known to be wrong."""
    caller(request).must_view()
    now = clock.now()
    leader = Leader.objects.filter(role="dispatcher", lease_until__gt=now).first()
    workers = list(living_workers(now))
    found = [{"text": one.text, "remedy": one.remedy} for one in troubles.current()]
    if leader is None:
        found.insert(0, {"text": "No dispatcher is running", "remedy": "Start one: manage.py furrow dispatcher"})
    elif leader.trouble:
        found.insert(0, {"text": leader.trouble, "remedy": "It recovers by itself once the cause is gone."})
    if not workers:
        found.insert(0, {"text": "No worker is running", "remedy": f"Start one: {worker_command()}"})
    return {
        "ok": not found,
        "dispatcher": leader.holder if leader else None,
        "workers": len(workers),
        "processes": sum(worker.processes for worker in workers),
        "troubles": found,
    }
