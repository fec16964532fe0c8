"""A call of a task as a submit."""

from collections.abc import Mapping
from typing import Any

from celery._state import get_current_worker_task
from celery.utils import uuid

from furrow.actions.jobs import end_unstarted
from furrow.adoption import running
from furrow.adoption.options import Call
from furrow.adoption.publishing import Publish, is_heard
from furrow.errors import WorkflowError
from furrow.kinds import task as canvas
from furrow.kinds.celery_options import FOLLOWERS
from furrow.kinds.results import job_result
from furrow.models import Job
from furrow.models.database import atomic
from furrow.signals import EXPIRED
from furrow.submission.submit import submit


def send(kind: Any, args: Any, kwargs: Any, given: Mapping[str, Any]) -> Any:
    """Submit a call of the task, with Celery's options; returns Celery's result.

    Raises:
        ArgumentError, OptionError: something cannot be stored; nothing was written.
        WorkflowError: what it links to cannot follow it.
    """
    args, kwargs, task = tuple(args or ()), dict(kwargs or {}), kind.celery
    options = {
        name: value for name, value in given.items() if name not in ("result_cls", "producer", "publisher", "connection")
    }
    if options.pop("task_type", None) is None:
        options = {name: value for name, value in task._get_exec_options().items() if value is not None} | options
    if again := running.asked_again(task, args, kwargs, options):
        return again
    if options.get("chord"):
        raise WorkflowError(
            f"{kind.name} is in the header of a chord of ordinary tasks, where a job cannot be counted: make all of the "
            "header, and the body, jobs (FURROW['ADOPT'])."
        )
    options |= _lineage(options)
    if any(options.get(name) for name in FOLLOWERS):
        return canvas.start_canvas(task.signature(args, kwargs, **options))
    publish = None
    if is_heard():
        options["task_id"] = options.get("task_id") or uuid()
        publish = Publish(task.app, kind.name, options["task_id"], args, kwargs, options)
        options["headers"] = publish.before()
    bound = kind.arguments.bound(args, kwargs)
    call = Call(kind, options)
    chosen = call.options(bound.positional)
    if call.expired:
        with atomic():
            job = submit(kind, bound.values, **chosen)
            end_unstarted(Job.objects.filter(pk=job.pk), "expired: its expires was over when it was sent", how=EXPIRED)
    else:
        job = submit(kind, bound.values, **chosen)
    if publish is not None:
        publish.after()
    result = job_result(options.get("task_id") or job.id)
    _leave_trail(options, result)
    return result


def _lineage(options: Mapping[str, Any]) -> dict[str, Any]:
    """By which task it is sent, as Celery has it."""
    parent = get_current_worker_task()
    if parent is None:
        return {}
    request = parent.request
    return {
        "root_id": options.get("root_id") or request.root_id or request.id,
        "parent_id": options.get("parent_id") or request.id,
    }


def _leave_trail(options: Mapping[str, Any], result: Any) -> None:
    parent = get_current_worker_task()
    if parent is not None and options.get("add_to_parent", True):
        parent.add_trail(result)
