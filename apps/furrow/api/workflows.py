"""Workflows: look at them, submit one, act on one."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from ninja import Router

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.admin.forms.row_field import missing_rows
from furrow.api.auth import Caller, caller, needs
from furrow.api.idempotency import Key, once
from furrow.api.jobs import Limit
from furrow.api.shapes import Sent, SentSignal
from furrow.api.submitting import arguments_for, kind_for, options_for
from furrow.api.workflow_shapes import (
    Cancelling,
    FollowUp,
    Forking,
    OneNode,
    OneWorkflow,
    WaitsFor,
    WholeWorkflow,
    WorkflowPage,
    WorkflowShape,
)
from furrow.api.workflow_shapes import Reference as OneReference
from furrow.diagnosis.workflows import select_workflows
from furrow.diagnosis.workflows_as_json import whole_workflow_json, workflow_json
from furrow.errors import StepError, SubmitError, UnknownKind, WorkflowError, did_you_mean
from furrow.kinds.kind import Kind, get_kind
from furrow.models import Workflow
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.plural import counted
from furrow.states import Condition
from furrow.steps.sending import OWN, WAITS
from furrow.web.problems import Refused
from furrow.workflows import people
from furrow.workflows.builder import Builder, workflow
from furrow.workflows.handles import After, Handle
from furrow.workflows.people import Person
from furrow.workflows.references import Reference

router = Router(auth=needs(Scope.READ), tags=["workflows"])
#: Nodes that wait, though nobody submits jobs of these kinds by themselves.
_WAITING = (WAITS, "furrow.sleep")
_MAY_ACT, _MAY_SUBMIT = needs(Scope.ACT), needs(Scope.SUBMIT)


# --- Looking ----------------------------------------------------------------------------------------------------------


@router.get("/workflows", response=WorkflowPage, operation_id="list_workflows")
def list_workflows(
    request: HttpRequest, state: str = "", q: str = "", limit: Limit = 30, after: uuid.UUID | None = None
) -> Any:
    """The newest workflows, but for those inside others: of a state, which may be ``paused``, and with a name or an id."""
    who = caller(request)
    who.must_see("workflow")
    rows = select_workflows(state=state, q=q)
    found = list((rows.filter(pk__lt=after) if after else rows)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    barred = _not_of_token(who, [one.pk for one in found])
    given = {name: value for name, value in request.GET.items() if name != "after"}
    return {
        "workflows": [workflow_json(one) for one in found if one.pk not in barred],
        "next": f"{request.path}?{urlencode({**given, 'after': found[-1].pk})}" if more else None,
    }


@router.get("/workflows/{workflow_id}", response=WholeWorkflow, operation_id="get_workflow")
def get_workflow(request: HttpRequest, workflow_id: uuid.UUID) -> Any:
    """A workflow with its nodes and edges, and why each node waits."""
    return whole_workflow_json(find(caller(request), workflow_id))


def find(who: Caller, workflow_id: uuid.UUID) -> Workflow:
    """The workflow, for who may see it.

    Raises:
        Refused: who may see none.
        Http404: it is gone, or the token is not for its kinds.
    """
    who.must_see("workflow")
    found = Workflow.objects.filter(pk=workflow_id).first()
    if found is None or _not_of_token(who, [found.pk]):
        raise Http404(f"There is no workflow {workflow_id}; those that ended long ago are deleted.")
    return found


def _not_of_token(who: Caller, ids: list[uuid.UUID]) -> set[uuid.UUID]:
    """Those of other kinds than the token is for."""
    return people.forbidden(ids, Person(None, "", Origin.API, kinds=who.kinds)) if who.kinds else set()


# --- Acting -----------------------------------------------------------------------------------------------------------


@router.post("/workflows/{workflow_id}/cancel", auth=_MAY_ACT, response=WorkflowShape, operation_id="cancel_workflow")
def cancel_workflow(request: HttpRequest, workflow_id: uuid.UUID, given: Cancelling | None = None) -> Any:
    """Cancel all of a workflow that has not ended; running jobs are asked to stop, and it ends when they have."""
    return _act(request, workflow_id, "cancel", given.reason if given else "")


@router.post("/workflows/{workflow_id}/pause", auth=_MAY_ACT, response=WorkflowShape, operation_id="pause_workflow")
def pause_workflow(request: HttpRequest, workflow_id: uuid.UUID) -> Any:
    """Let no more nodes of a workflow begin; what was let go runs on."""
    return _act(request, workflow_id, "pause")


@router.post("/workflows/{workflow_id}/resume", auth=_MAY_ACT, response=WorkflowShape, operation_id="resume_workflow")
def resume_workflow(request: HttpRequest, workflow_id: uuid.UUID) -> Any:
    """Let a paused workflow go on."""
    return _act(request, workflow_id, "resume")


@router.post("/workflows/{workflow_id}/restart", auth=_MAY_ACT, response=WorkflowShape, operation_id="restart_workflow")
def restart_workflow(request: HttpRequest, workflow_id: uuid.UUID) -> Any:
    """Run again what failed or was cancelled, and what waited for it."""
    return _act(request, workflow_id, "restart")


@router.post("/workflows/{workflow_id}/fork", auth=_MAY_ACT, response={201: WorkflowShape}, operation_id="fork_workflow")
def fork_workflow(request: HttpRequest, workflow_id: uuid.UUID, given: Forking, idempotency_key: Key = None) -> Any:
    """Repeat an ended workflow from a node on, as a new one; what succeeded before is reused."""
    who = caller(request)
    who.must_have_scope(Scope.SUBMIT)
    found = find(who, workflow_id)

    def do() -> tuple[int, Any]:
        try:
            new = people.fork(found.pk, given.node, person(who), missing=missing_rows, arguments=given.arguments or None)
        except SubmitError as error:
            raise Refused(422, str(error), {f"arguments.{name}": text for name, text in error.fields.items()}) from None
        return 201, workflow_json(new)

    return once(request, who.user, idempotency_key, do)


@router.post("/workflows/{workflow_id}/signals", auth=_MAY_ACT, response={201: SentSignal}, operation_id="send_workflow_signal")
def send_workflow_signal(request: HttpRequest, workflow_id: uuid.UUID, signal: Sent, idempotency_key: Key = None) -> Any:
    """Send a signal to the nodes of a workflow that wait for it; ``delivered``: one waits right now, else it is kept."""
    who = caller(request)
    found = find(who, workflow_id)

    def do() -> tuple[int, Any]:
        return 201, {"delivered": people.signal(found.pk, signal.name, signal.payload, person(who))}

    return once(request, who.user, idempotency_key, do)


def person(who: Caller) -> Person:
    """Who asks, as acts on workflows have it."""
    return Person(who.user, who.user, Origin.API, who.named, who.kinds)


def _act(request: HttpRequest, workflow_id: uuid.UUID, action: str, reason: str = "") -> Any:
    """Raises Refused: 403 for kinds inside on which the user may not act; 409, when nothing was changed."""
    who = caller(request)
    found = find(who, workflow_id)
    done = people.perform(action, [found.pk], person(who), reason=reason)
    if done.forbidden:
        raise Refused(403, f"{who.user.get_username()} may not act on some kinds of this workflow's jobs.")
    if done.locked:
        raise Refused(409, f"Nothing was changed: {people.LOCKED}", retry_after=1)
    if not done.changed:
        raise Refused(409, f"Nothing was changed: it {people.ACTIONS[action].otherwise}.")
    return workflow_json(find(who, workflow_id))


# --- Submitting -------------------------------------------------------------------------------------------------------


@router.post("/workflows", auth=_MAY_SUBMIT, response={201: WholeWorkflow}, operation_id="submit_workflow")
def submit_workflow(request: HttpRequest, given: OneWorkflow, idempotency_key: Key = None) -> Any:
    """Submit a workflow, whole or not at all. Nodes come after those that they wait for."""
    who = caller(request)

    def do() -> tuple[int, Any]:
        handles: dict[str, Handle] = {}
        try:
            with workflow(given.name, submitted_by=who.user, expires=given.expires) as w:
                for number, node in enumerate(given.nodes):
                    handle = _add(who, w, node, handles, f"nodes.{number}.")
                    handles[handle.name] = handle
                if given.result is not None:
                    w.result = _named(given.result, handles, "result")
                if given.on_failure is not None:
                    with blaming("on_failure."):
                        w.on_failure(kind_for(who, given.on_failure.kind), checked(who, given.on_failure, "on_failure."))
        except WorkflowError as error:
            raise Refused(422, str(error)) from None
        jobs = sum(1 if node.rows is None else len(node.rows) for node in given.nodes)
        target = f"workflow {given.name} {w.id}: {counted(jobs, 'job')}"
        audit("submit", by=who.user, origin=Origin.API, target=target, count=jobs, token=who.named)
        return 201, whole_workflow_json(Workflow.objects.get(pk=w.id))

    return once(request, who.user, idempotency_key, do)


def _add(who: Caller, w: Builder, node: OneNode, handles: Mapping[str, Handle], where: str) -> Handle:
    """Raises Refused (422): the field at fault."""
    with blaming(where):
        kind, shared = _kind_of(who, node.kind), checked(who, node, where)
        if kind.name == WAITS and str(shared.get("signal", "")).startswith(OWN):
            raise Refused(422, fields={f"{where}arguments.signal": "is one of Furrow's own: choose another name"})
        results = _results(node.results, handles, where)
        after = [_after(one, handles, f"{where}after.{number}") for number, one in enumerate(node.after)]
        options = options_for(kind, node)
        if node.rows is None:
            handle = w.add(kind, {**shared, **results}, after=after, name=node.name, **options)
            if node.compensation is not None:
                _compensate(who, w, handle, node.compensation, f"{where}compensation.")
            return handle
        if node.compensation is not None:
            raise Refused(422, fields={f"{where}compensation": "is of one job, and this node has rows: leave it out"})
        rows = [arguments_for(kind, row, f"{where}rows.{number}") for number, row in enumerate(node.rows)]
        for number, wrong in enumerate(missing_rows(kind, who.user, rows)):
            if wrong:
                raise Refused(422, fields={f"{where}rows.{number}.{name}": text for name, text in wrong.items()})
        return w.map(kind, rows, shared={**shared, **results}, after=after, name=node.name, **options)


def _compensate(who: Caller, w: Builder, node: Handle, given: FollowUp, where: str) -> None:
    with blaming(where):
        results = _results(given.results, {node.name: node}, where)
        w.compensate(node, kind_for(who, given.kind), {**checked(who, given, where), **results})


@contextmanager
def blaming(where: str) -> Iterator[None]:
    """Raises Refused (422), which names the field at fault below this one."""
    try:
        yield
    except SubmitError as error:
        raise Refused(422, str(error), {where + place(name): text for name, text in error.fields.items()}) from None
    except UnknownKind as error:
        raise Refused(422, str(error), {f"{where}kind": str(error)}) from None
    except (WorkflowError, StepError) as error:
        raise Refused(422, str(error), {where.rstrip("."): str(error)}) from None


def _kind_of(who: Caller, name: str) -> Kind:
    """The kind, for who may submit it, or one that waits."""
    if name not in _WAITING:
        return kind_for(who, name)
    may = permissions.may_submit(who.user) and who.has_kind(name)
    who.must(may, "submit workflows with nodes that wait", f"{permissions.SUBMIT}, and a token for all kinds")
    return get_kind(name)


def place(name: str) -> str:
    """``rows.3.a`` of ``row 3: a``."""
    return name.replace("row ", "rows.", 1).replace(": ", ".", 1) if name.startswith("row ") else name


def checked(who: Caller, given: OneNode | FollowUp, where: str) -> Mapping[str, Any]:
    """The arguments that it has already."""
    kind = _kind_of(who, given.kind)
    shared = arguments_for(kind, given.arguments, f"{where}arguments")
    if wrong := missing_rows(kind, who.user, [shared])[0]:
        raise Refused(422, fields={f"{where}arguments.{name}": text for name, text in wrong.items()})
    return shared


def _results(given: Mapping[str, OneReference], handles: Mapping[str, Handle], where: str) -> dict[str, Reference]:
    return {name: _reference(_named(one.node, handles, f"{where}results.{name}"), one.path) for name, one in given.items()}


def _named(name: str, handles: Mapping[str, Handle], field: str) -> Handle:
    if name not in handles:
        hint = did_you_mean(name, handles) if handles else "this is the first node"
        raise Refused(422, fields={field: f"there is no node {name!r:.100} before this one; {hint}"})
    return handles[name]


def _after(one: str | WaitsFor, handles: Mapping[str, Handle], field: str) -> Handle | After:
    if isinstance(one, str):
        return _named(one, handles, field)
    handle = _named(one.node, handles, field)
    return After(handle.id, handle.name, Condition(one.condition))


def _reference(handle: Handle, path: list[str | int]) -> Reference:
    found = handle.result
    for key in path:
        try:
            found = found[key]
        except TypeError as error:
            raise WorkflowError(f"{error}.") from None
    return found
