"""The page of one workflow, and its live part."""

import datetime as dt
import uuid
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast, Left, Length
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from furrow.actions.permissions import may_submit, may_view
from furrow.admin import live
from furrow.admin.job_body import json_part
from furrow.admin.workflows.bars import timeline
from furrow.admin.workflows.drawing import SHAPES, draw
from furrow.admin.workflows.nodes import AT_ONCE, FOR, Progress, Seen, Window, progress, window
from furrow.admin.workflows.permitted import find, may_act, offered
from furrow.diagnosis import wording
from furrow.models import Job, Node, Workflow
from furrow.models.users import find_user
from furrow.statements import clock
from furrow.states import NodeState, State, WorkflowState
from furrow.web.parameters import whole
from furrow.workflows.references import source

#: Milliseconds between two looks of the page; of one with more nodes than this.
EVERY, MANY, EVERY_OF_MANY = 2_000, 60, 5_000
#: Repetitions that are listed; nested workflows that are followed to a result.
FORKS, DEPTH = 5, 20
#: Seconds that a running node's duration may be behind.
COARSE = 10
_PART = "admin/furrow/workflow/body.html"


@require_GET
def show(request: HttpRequest, object_id: str) -> HttpResponse:
    """The page."""
    workflow = find(request, object_id)
    facts = body(request, workflow)
    place = request.GET.urlencode()
    address = reverse("admin:furrow_workflow_live", args=[workflow.pk]) + (f"?{place}" if place else "")
    return live.page(
        request,
        _PART,
        facts,
        title=f"Workflow {wording.shorten(workflow.name, 60)}",
        address="" if workflow.finished_at else address,
        model=Workflow,
        around="admin/furrow/workflow/page.html",
        every=EVERY if len(facts["window"].seen) <= MANY else EVERY_OF_MANY,
    )


@require_GET
def rows(request: HttpRequest, workflow_id: uuid.UUID) -> HttpResponse:
    """Its part that changes."""
    workflow = find(request, workflow_id)
    return live.answer(request, _PART, body(request, workflow), last=workflow.finished_at is not None)


def body(request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
    """The context of the part that changes."""
    now, sees_jobs = clock.now(), may_view(request.user)
    start = whole(request, "from", 0, most=2**31 - 1) if "from" in request.GET else None
    nodes = window(workflow, start, now, sees_jobs=sees_jobs)
    for one in nodes.seen:
        one.link = _link(one, sees_jobs=sees_jobs)
    acts = may_act(request, workflow)
    return {
        "version": _version(workflow, nodes, now),
        "workflow": workflow,
        "now": now,
        "window": nodes,
        "at_once": AT_ONCE,
        "drawing": draw(nodes.seen),
        "timeline": timeline(workflow, nodes.seen, now),
        "progress": progress([workflow.pk]).get(workflow.pk, Progress()),
        "seconds": ((workflow.finished_at or now) - workflow.created_at).total_seconds(),
        "submitter": find_user(workflow.submitted_by_id),
        "parent": _parent(workflow),
        "forks": Workflow.objects.filter(fork_of=workflow.pk).order_by("-pk")[:FORKS],
        "sees_jobs": sees_jobs,
        "may_act": acts,
        "offered": offered(workflow) if acts else [],
        "may_fork": acts and workflow.finished_at is not None and sees_jobs and may_submit(request.user),
        "result": _result(workflow) if sees_jobs and workflow.state == WorkflowState.SUCCEEDED else None,
        "shapes": SHAPES,
        "conditions": FOR,
    }


def _link(one: Seen, *, sees_jobs: bool) -> str:
    """To what a node consists of; where that cannot be seen, to its row of the table."""
    if one.inner is not None:
        return reverse("admin:furrow_workflow_change", args=[one.inner.pk])
    if sees_jobs and one.job is not None:
        return reverse("admin:furrow_job_change", args=[one.job.pk])
    if sees_jobs and one.is_many:
        return f"{reverse('admin:furrow_job_changelist')}?node={one.jobs_node}"
    return f"#node-{one.node.pk}"


def _version(workflow: Workflow, nodes: Window, now: dt.datetime) -> str:
    """What the page would look different by; and, while a node runs, now and then a little time."""
    own = (workflow.state, workflow.paused_at, workflow.cancel_requested_at, nodes.total, nodes.first)
    runs = any(one.node.state == NodeState.RUNNING for one in nodes.seen)
    return repr((own, [one.facts for one in nodes.seen], now.timestamp() // COARSE if runs else 0))


def _parent(workflow: Workflow) -> Workflow | None:
    """The workflow that this one is a part of."""
    if workflow.parent is None:
        return None
    return Workflow.objects.filter(nodes=workflow.parent).first()


def _result(workflow: Workflow) -> dict[str, Any] | None:
    """The job that the result is of, and the beginning of its JSON; without the latter where it is many jobs'."""
    node = workflow.result_node
    for _ in range(DEPTH):
        if node is None:
            break
        node = source(node)
        inner = Workflow.objects.filter(parent=node).first()
        if inner is None:
            break
        node = inner.result_node
    of = None if node is None else Node.objects.filter(pk=node).first()
    if of is None:
        return None
    if of.sort != Node.Sort.JOB:
        return {"node": of, "job": None}
    rows = Job.objects.defer("arguments", "meta", "result").annotate(
        result_text=Left(Cast("result", TextField()), 4 * wording.SHOWN + 1), result_length=Length(Cast("result", TextField()))
    )
    job = rows.filter(node=of.pk, state=State.SUCCEEDED).first()
    return None if job is None else {"node": of, "job": job, "part": json_part(job, "result")}
