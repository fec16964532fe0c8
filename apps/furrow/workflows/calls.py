"""Calls: a job's handler submits jobs, and waits in a step until they have ended. They are a workflow of one node."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from furrow.context import current_job
from furrow.errors import JobFailed
from furrow.kinds.kind import Kind
from furrow.locks.wakeup import wake
from furrow.models import Job, Node, Step, Workflow
from furrow.models.database import alias
from furrow.models.step import Sort
from furrow.models.users import submitter
from furrow.plural import counted
from furrow.states import FINAL, State, WorkflowState
from furrow.workflows.builder import workflow


def start(kind: Kind | str, rows: Iterable[Mapping[str, Any]], *, name: str, **options: Any) -> str:
    """Submit a job for each row of arguments, in the caller's transaction; what stands for them in the step.

    Raises:
        UnknownKind, ArgumentError, OptionError: nothing was submitted.
    """
    caller = Job.objects.only("submitted_by").get(pk=str(current_job.id))
    with workflow(name, submitted_by=submitter(caller)) as called:
        called.map(kind, rows, **options)
    return called.id.hex


def outcome(call: str) -> list[Any] | None:
    """The results of the jobs, in the order of their rows; ``None`` while one has not ended.

    Raises:
        JobFailed: some did not succeed; or they are gone.
    """
    row = Workflow.objects.filter(pk=call).first()
    if row is not None and row.state == WorkflowState.RUNNING:
        return None
    jobs = Job.objects.filter(node__in=Node.objects.filter(workflow=uuid.UUID(call)).values("pk")).order_by("pk")
    unwell = jobs.exclude(state=State.SUCCEEDED)
    if (first := unwell.first()) is not None:
        raise JobFailed(f"{unwell.count():,} of {counted(jobs.count(), 'job')} did not succeed; {first.pk}: {first.error}")
    results, wanted = list(jobs.values_list("result", flat=True)), Node.objects.filter(workflow=uuid.UUID(call)).first()
    if wanted is None or len(results) < wanted.jobs:
        raise JobFailed("jobs of this call were deleted before their results were read")
    return results


def rouse(nodes: Collection[Node]) -> list[uuid.UUID]:
    """Make those due who wait for the workflows of these nodes, if they have ended. One whose row is locked, perhaps by who
    ends the run that began to wait, is to be looked at again: returns a node for each."""
    busy = {node.workflow_id for node in nodes if node.finished_at is None}
    ended = {node.workflow_id.hex: node.pk for node in nodes if node.workflow_id not in busy}
    steps = Step.objects.filter(sort=Sort.CALL, finished_at=None, awaits__in=ended) if ended else Step.objects.none()
    waiting = {step.job_id: ended[step.awaits] for step in steps}
    if not waiting:
        return []
    free = dict(Job.objects.filter(pk__in=waiting).select_for_update(skip_locked=True).values_list("pk", "state"))
    due = [id for id, state in free.items() if state == State.PENDING]
    Job.objects.filter(pk__in=due, run_at__gt=Now()).update(run_at=Now())
    transaction.on_commit(wake, using=alias(), robust=True)
    there = Job.objects.filter(pk__in=waiting).exclude(state__in=FINAL).values_list("pk", flat=True)
    return [waiting[id] for id in there if id not in free]
