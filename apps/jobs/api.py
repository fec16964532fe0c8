"""The only door for other code::

from apps.jobs.api import job, submit, current_job

@job(retry=RetryPolicy(max_attempts=3), timeout=60)
def send_invoice(order_id: int, copy_to: str | None = None) -> dict: ...

submit(send_invoice, {"order_id": 7}, countdown=30)
"""

from apps.jobs.actions import cancel, change_priority, change_queue, delete, retry, run_now, snooze
from apps.jobs.context import current_job
from apps.jobs.errors import (
    Abort,
    ArgumentError,
    Cancelled,
    FurrowError,
    InputError,
    JobCancelled,
    JobFailed,
    KindError,
    NotUnique,
    OptionError,
    Retry,
    Snooze,
    SoftTimeout,
    SubmitError,
    UnknownKind,
)
from apps.jobs.explain import Situation, situation
from apps.jobs.hints import File, ForeignKey, UploadedPath
from apps.jobs.kinds import Kind, all_kinds, get_kind, job
from apps.jobs.limits import Unique
from apps.jobs.models import Attempt, Job, LogLine
from apps.jobs.retry import RetryPolicy
from apps.jobs.secret import Secret
from apps.jobs.states import FINAL, Outcome, State
from apps.jobs.submit import submit, submit_many

__all__ = [
    "FINAL",
    "Abort",
    "ArgumentError",
    "Attempt",
    "Cancelled",
    "File",
    "ForeignKey",
    "FurrowError",
    "InputError",
    "Job",
    "JobCancelled",
    "JobFailed",
    "Kind",
    "KindError",
    "LogLine",
    "NotUnique",
    "OptionError",
    "Outcome",
    "Retry",
    "RetryPolicy",
    "Secret",
    "Situation",
    "Snooze",
    "SoftTimeout",
    "State",
    "SubmitError",
    "Unique",
    "UnknownKind",
    "UploadedPath",
    "all_kinds",
    "cancel",
    "change_priority",
    "change_queue",
    "current_job",
    "delete",
    "get_kind",
    "job",
    "retry",
    "run_now",
    "situation",
    "snooze",
    "submit",
    "submit_many",
]
