"""``self.replace``: the job waits in a step for the canvas that takes its place, and ends as that does. Its id, what follows it
and who waits for it stay as they are."""

import uuid
from typing import Any

from celery.exceptions import ImproperlyConfigured

from furrow.canvas.building import start_workflow
from furrow.context import _run
from furrow.errors import JobFailed
from furrow.kinds.kind import find_kind
from furrow.models import Job, Node, Step, Workflow
from furrow.states import State, WorkflowState

#: The step's name.
STEP = "celery.replace"


def refuse(signature: Any) -> None:
    """What Celery refuses, too.

    Raises:
        ImproperlyConfigured: it is part of a chord, or empty.
    """
    if "chord" in signature.options:
        raise ImproperlyConfigured("A signature replacing a task must not be part of a chord")
    if signature.get("task") == "celery.chain" and not signature.tasks:
        raise ImproperlyConfigured("Cannot replace with an empty chain")


def replace(signature: Any) -> Any:
    """Submit the canvas, and end this run; in a later one, what it came to.

    Raises:
        Suspended: it has not ended.
        Exception: what made it fail.
    """
    job: Any = _run.get()
    return job.steps.canvas(STEP, lambda: start_workflow(signature), _outcome)


def is_replaced(job: Any) -> bool:
    """Whether an earlier run has put another in its place."""
    return bool(job.attempt > 1 and Step.objects.filter(job=job.id, name=STEP).exists())


def outcome() -> Any:
    """What the canvas that took this job's place came to.

    Raises:
        Suspended, Exception: as :func:`replace`.
    """
    job: Any = _run.get()
    try:
        return job.steps.canvas(STEP, _gone, _outcome)
    except JobFailed:
        if (error := _error(job)) is not None:
            raise error from None
        raise


def _gone() -> str:
    raise JobFailed("the step in which it was replaced is gone")


def _outcome(call: str) -> tuple[Any] | None:
    """The workflow's result, in a tuple; ``None`` while it runs.

    Raises:
        JobFailed: it failed, or is gone.
    """
    row = Workflow.objects.filter(pk=call).first()
    if row is None:
        raise JobFailed("the jobs that took its place were deleted")
    if row.state == WorkflowState.RUNNING:
        return None
    if row.state != WorkflowState.SUCCEEDED:
        raise JobFailed(f"what took its place ended as {row.state}")
    node = Node.objects.get(pk=row.result_node or uuid.UUID(int=0))
    results = list(Job.objects.filter(node=node.pk).order_by("pk").values_list("result", flat=True))
    return (results if node.sort == Node.Sort.MAP else results[0],)


def _error(job: Any) -> BaseException | None:
    step = Step.objects.filter(job=job.id, name=STEP).first()
    nodes = Node.objects.filter(workflow=uuid.UUID(step.awaits)).values("pk") if step else Node.objects.none().values("pk")
    failed = Job.objects.filter(node__in=nodes, state=State.FAILED).order_by("finished_at").first()
    kind = find_kind(failed.kind) if failed else None
    error = kind.told(failed).get("result") if kind and failed else None
    return error if isinstance(error, BaseException) else None
