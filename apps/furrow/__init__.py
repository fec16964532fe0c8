"""Furrow: durable jobs for Celery and Django. The one door for other code::

    from furrow import RetryPolicy, current_job, job, lock, submit

    @job(retry=RetryPolicy(max_attempts=3), timeout=60)
    def send_invoice(order_id: int, copy_to: str | None = None) -> dict:
        with lock(f"order:{order_id}"): ...

    submit(send_invoice, {"order_id": 7}, countdown=30)

One job's way through the rooms:

``kinds/``      what a kind of job is; ``limits/`` are rules between jobs.
``submission/`` ``@job`` makes a function a kind.
                1. validate, then one INSERT in the caller's transaction: a row in ``models.Job``, state ``pending``.
``dispatcher/`` 2. the leading dispatcher finds it due, publishes its id through ``rabbitmq/`` and marks it ``queued``.
``worker/``     3. ``intake`` takes the message, ``ledger`` claims the row (``running``) and the message is acknowledged;
                4. ``pool`` hands it to a pool process, where ``child`` runs the handler and reports;
                5. ``ledger`` settles it: ``succeeded``, ``failed``, or ``pending`` again as its retry policy says; one row in
                   ``models.Attempt``.
``dispatcher/`` 6. ``rescue`` takes it back if the worker died; ``reconcile`` if the message was lost; ``prune`` deletes it.

``states`` is the table of legal moves; ``statements/`` holds the SQL of both databases. ``actions/`` is what people may do,
``diagnosis/`` what they see, through ``admin/``, ``command/`` and ``monitoring/``. ``locks/`` are locks over Redis; ``prove/``
proves the guarantees under faults. Imports go down only: pyproject.toml has the floors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from furrow.actions.jobs import cancel, change_priority, change_queue, delete, retry, run_now, snooze
    from furrow.actions.steps import retry_from
    from furrow.approvals.deciding import decide
    from furrow.backfills.declared import backfill
    from furrow.context import current_job
    from furrow.diagnosis.explain import Situation, situation
    from furrow.errors import (
        Abort,
        ApprovalRejected,
        ApprovalTimeout,
        ArgumentError,
        Cancelled,
        EventError,
        FurrowError,
        InputError,
        JobCancelled,
        JobFailed,
        KindError,
        MiddlewareError,
        NotUnique,
        OptionError,
        Retry,
        SignalTimeout,
        Snooze,
        SoftTimeout,
        StepError,
        SubmitError,
        UnknownKind,
        WorkflowError,
        WorkflowFailed,
    )
    from furrow.events.classes import EventData
    from furrow.events.occurred import Occurred
    from furrow.events.publish import publish
    from furrow.events.subscribers import subscribe
    from furrow.kinds.hints import File, ForeignKey, UploadedPath
    from furrow.kinds.kind import Kind, all_kinds, get_kind
    from furrow.kinds.retry import RetryPolicy
    from furrow.kinds.secret import Secret
    from furrow.limits.limit import Unique
    from furrow.locks.errors import LockError, LockLost, LockUnavailable, NotAcquired, RateLimited, StaleFence
    from furrow.locks.fenced import FencedModel
    from furrow.locks.guards import leader, lock, semaphore
    from furrow.locks.held import Held
    from furrow.locks.rate import rate_limit
    from furrow.middleware import Middleware, RunningJob, Submission
    from furrow.models import Approval, Attempt, Job, LogLine
    from furrow.schedule import Schedule
    from furrow.states import FINAL, Outcome, State
    from furrow.steps.sending import send_signal
    from furrow.streaming.tokens import output_token, output_url
    from furrow.submission.external import external_kind
    from furrow.submission.job import job
    from furrow.submission.submit import submit, submit_many
    from furrow.workflows.batches import Batch, batch
    from furrow.workflows.builder import workflow
    from furrow.workflows.current import current_workflow
    from furrow.workflows.results import Results
    from furrow.workflows.waiting import wait

__all__ = [
    "FINAL",
    "Abort",
    "Approval",
    "ApprovalRejected",
    "ApprovalTimeout",
    "ArgumentError",
    "Attempt",
    "Batch",
    "Cancelled",
    "EventData",
    "EventError",
    "FencedModel",
    "File",
    "ForeignKey",
    "FurrowError",
    "Held",
    "InputError",
    "Job",
    "JobCancelled",
    "JobFailed",
    "Kind",
    "KindError",
    "LockError",
    "LockLost",
    "LockUnavailable",
    "LogLine",
    "Middleware",
    "MiddlewareError",
    "NotAcquired",
    "NotUnique",
    "Occurred",
    "OptionError",
    "Outcome",
    "RateLimited",
    "Results",
    "Retry",
    "RetryPolicy",
    "RunningJob",
    "Schedule",
    "Secret",
    "SignalTimeout",
    "Situation",
    "Snooze",
    "SoftTimeout",
    "StaleFence",
    "State",
    "StepError",
    "Submission",
    "SubmitError",
    "Unique",
    "UnknownKind",
    "UploadedPath",
    "WorkflowError",
    "WorkflowFailed",
    "all_kinds",
    "backfill",
    "batch",
    "cancel",
    "change_priority",
    "change_queue",
    "current_job",
    "current_workflow",
    "decide",
    "delete",
    "external_kind",
    "get_kind",
    "job",
    "leader",
    "lock",
    "output_token",
    "output_url",
    "publish",
    "rate_limit",
    "retry",
    "retry_from",
    "run_now",
    "semaphore",
    "send_signal",
    "situation",
    "snooze",
    "submit",
    "submit_many",
    "subscribe",
    "wait",
    "workflow",
]

#: Where each name is; imported when it is first asked for, since Django loads this package before its models.
_WHERE = {
    "FINAL": "furrow.states",
    "Abort": "furrow.errors",
    "Approval": "furrow.models",
    "ApprovalRejected": "furrow.errors",
    "ApprovalTimeout": "furrow.errors",
    "ArgumentError": "furrow.errors",
    "Attempt": "furrow.models",
    "Batch": "furrow.workflows.batches",
    "Cancelled": "furrow.errors",
    "EventData": "furrow.events.classes",
    "EventError": "furrow.errors",
    "FencedModel": "furrow.locks.fenced",
    "File": "furrow.kinds.hints",
    "ForeignKey": "furrow.kinds.hints",
    "FurrowError": "furrow.errors",
    "Held": "furrow.locks.held",
    "InputError": "furrow.errors",
    "Job": "furrow.models",
    "JobCancelled": "furrow.errors",
    "JobFailed": "furrow.errors",
    "Kind": "furrow.kinds.kind",
    "KindError": "furrow.errors",
    "LockError": "furrow.locks.errors",
    "LockLost": "furrow.locks.errors",
    "LockUnavailable": "furrow.locks.errors",
    "LogLine": "furrow.models",
    "Middleware": "furrow.middleware",
    "MiddlewareError": "furrow.errors",
    "NotAcquired": "furrow.locks.errors",
    "NotUnique": "furrow.errors",
    "Occurred": "furrow.events.occurred",
    "OptionError": "furrow.errors",
    "Outcome": "furrow.states",
    "RateLimited": "furrow.locks.errors",
    "Results": "furrow.workflows.results",
    "Retry": "furrow.errors",
    "RetryPolicy": "furrow.kinds.retry",
    "RunningJob": "furrow.middleware",
    "Schedule": "furrow.schedule",
    "Secret": "furrow.kinds.secret",
    "SignalTimeout": "furrow.errors",
    "Situation": "furrow.diagnosis.explain",
    "Snooze": "furrow.errors",
    "SoftTimeout": "furrow.errors",
    "StaleFence": "furrow.locks.errors",
    "State": "furrow.states",
    "StepError": "furrow.errors",
    "Submission": "furrow.middleware",
    "SubmitError": "furrow.errors",
    "Unique": "furrow.limits.limit",
    "UnknownKind": "furrow.errors",
    "UploadedPath": "furrow.kinds.hints",
    "WorkflowError": "furrow.errors",
    "WorkflowFailed": "furrow.errors",
    "all_kinds": "furrow.kinds.kind",
    "backfill": "furrow.backfills.declared",
    "batch": "furrow.workflows.batches",
    "cancel": "furrow.actions.jobs",
    "change_priority": "furrow.actions.jobs",
    "change_queue": "furrow.actions.jobs",
    "current_job": "furrow.context",
    "current_workflow": "furrow.workflows.current",
    "decide": "furrow.approvals.deciding",
    "delete": "furrow.actions.jobs",
    "external_kind": "furrow.submission.external",
    "get_kind": "furrow.kinds.kind",
    "job": "furrow.submission.job",
    "leader": "furrow.locks.guards",
    "lock": "furrow.locks.guards",
    "output_token": "furrow.streaming.tokens",
    "output_url": "furrow.streaming.tokens",
    "publish": "furrow.events.publish",
    "rate_limit": "furrow.locks.rate",
    "retry": "furrow.actions.jobs",
    "retry_from": "furrow.actions.steps",
    "run_now": "furrow.actions.jobs",
    "semaphore": "furrow.locks.guards",
    "send_signal": "furrow.steps.sending",
    "situation": "furrow.diagnosis.explain",
    "snooze": "furrow.actions.jobs",
    "submit": "furrow.submission.submit",
    "submit_many": "furrow.submission.submit",
    "subscribe": "furrow.events.subscribers",
    "wait": "furrow.workflows.waiting",
    "workflow": "furrow.workflows.builder",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_WHERE[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
