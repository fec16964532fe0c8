"""Open batches: jobs are added one request after the other, and what follows runs when it was closed and all have ended."""

import uuid
from typing import Any

from django.http import HttpRequest

from furrow.actions.audit import audit
from furrow.admin.forms.row_field import missing_rows
from furrow.api.auth import Caller, caller, needs
from furrow.api.idempotency import Key, once
from furrow.api.submitting import arguments_for, kind_for, options_for
from furrow.api.workflow_shapes import Added, FollowUp, MoreJobs, OneBatch, WholeWorkflow, WorkflowShape
from furrow.api.workflows import blaming, checked, find, place, router
from furrow.diagnosis.workflows_as_json import whole_workflow_json, workflow_json
from furrow.errors import SubmitError, WorkflowError
from furrow.models import Node, Workflow
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.web.problems import Refused
from furrow.workflows.batches import Batch, open_batch

_MAY = needs(Scope.SUBMIT)


@router.post("/open-batches", auth=_MAY, response={201: WholeWorkflow}, operation_id="open_batch")
def open_one(request: HttpRequest, batch: OneBatch, idempotency_key: Key = None) -> Any:
    """Open a batch, which is a workflow: add jobs to it, and close it."""
    who = caller(request)

    def do() -> tuple[int, Any]:
        given = {name: getattr(batch, name) for name in ("on_success", "on_complete", "on_first_failure")}
        callbacks = {name: _callback(who, one, f"{name}.") for name, one in given.items() if one is not None}
        opened = open_batch(batch.name, callbacks, submitted_by=who.user)
        _write_down(who, "submit", batch.name, opened.id, len(callbacks))
        return 201, whole_workflow_json(Workflow.objects.get(pk=opened.id))

    return once(request, who.user, idempotency_key, do)


@router.post("/workflows/{workflow_id}/jobs", auth=_MAY, response={201: Added}, operation_id="add_to_batch")
def add_to_batch(request: HttpRequest, workflow_id: uuid.UUID, more: MoreJobs, idempotency_key: Key = None) -> Any:
    """Add jobs of one kind to an open batch, all or none; for whoever opened it. 409 when it is closed."""
    who = caller(request)
    found = _find(who, workflow_id)

    def do() -> tuple[int, Any]:
        kind = kind_for(who, more.kind)
        rows = [arguments_for(kind, row, f"rows.{number}") for number, row in enumerate(more.rows)]
        for number, wrong in enumerate(missing_rows(kind, who.user, rows)):
            if wrong:
                raise Refused(422, fields={f"rows.{number}.{name}": text for name, text in wrong.items()})
        try:
            Batch(found.pk).map(kind, rows, **options_for(kind, more))
        except WorkflowError as error:
            raise Refused(409, f"Nothing was added: {error}") from None
        except SubmitError as error:
            raise Refused(422, str(error), {place(name): text for name, text in error.fields.items()}) from None
        _write_down(who, "add", found.name, found.pk, len(rows))
        return 201, {"workflow": found.pk, "added": len(rows)}

    return once(request, who.user, idempotency_key, do)


@router.post("/workflows/{workflow_id}/close", auth=_MAY, response=WorkflowShape, operation_id="close_batch")
def close_batch(request: HttpRequest, workflow_id: uuid.UUID) -> Any:
    """Nothing more comes: what follows runs when all that is there has ended. For whoever opened it; closed twice is closed."""
    who = caller(request)
    found = _find(who, workflow_id)
    with atomic():
        if Batch(found.pk).close():
            _write_down(who, "close", found.name, found.pk, 1)
    return workflow_json(find(who, workflow_id))


def _find(who: Caller, workflow_id: uuid.UUID) -> Workflow:
    """Raises Refused: it is no batch (409), or somebody else's (403)."""
    found = find(who, workflow_id)
    if not Node.objects.filter(workflow=found, sort=Node.Sort.BATCH).exists():
        raise Refused(409, f"The workflow {found.name} is no batch: nothing is added to it over HTTP.")
    mine = found.submitted_by_id == who.user.pk
    who.must(mine, "add to this batch or close it", "to have opened it: its jobs are submitted in that name")
    return found


def _callback(who: Caller, one: FollowUp, where: str) -> Any:
    with blaming(where):
        if one.results:
            raise Refused(422, fields={f"{where}results": "has no node before it: current_workflow has the jobs' results"})
        return kind_for(who, one.kind), checked(who, one, where)


def _write_down(who: Caller, action: str, name: str, id: uuid.UUID, count: int) -> None:
    target = f"batch {name} {id}"
    audit(action, by=who.user, origin=Origin.API, target=target, count=max(count, 1), token=who.named)
