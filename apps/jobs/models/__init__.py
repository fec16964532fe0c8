"""The tables. A job is a row of ``Job``; each run of it leaves a row of ``Attempt``."""

from apps.jobs.models.attempt import Attempt
from apps.jobs.models.audit_entry import AuditEntry
from apps.jobs.models.dead_message import DeadMessage
from apps.jobs.models.drift import Drift
from apps.jobs.models.hold import Hold
from apps.jobs.models.job import Job
from apps.jobs.models.leader import Leader
from apps.jobs.models.log_line import LogLine
from apps.jobs.models.queue import Queue
from apps.jobs.models.rollup import ErrorCount, ErrorGroup, Rollup
from apps.jobs.models.trouble import Trouble
from apps.jobs.models.worker import Worker
from apps.jobs.models.worker_request import WorkerRequest

__all__ = [
    "Attempt",
    "AuditEntry",
    "DeadMessage",
    "Drift",
    "ErrorCount",
    "ErrorGroup",
    "Hold",
    "Job",
    "Leader",
    "LogLine",
    "Queue",
    "Rollup",
    "Trouble",
    "Worker",
    "WorkerRequest",
]
