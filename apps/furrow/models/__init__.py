"""The tables. A job is a row of ``Job``; each of its runs leaves a row of ``Attempt``."""

from furrow.locks.models import Epoch, Lock
from furrow.models.api_answer import ApiAnswer
from furrow.models.api_token import ApiToken
from furrow.models.approval import Approval
from furrow.models.attempt import Attempt
from furrow.models.audit_entry import AuditEntry
from furrow.models.backfill import Backfill
from furrow.models.bridge_reader import BridgeReader
from furrow.models.bridged_message import BridgedMessage
from furrow.models.canary import Canary
from furrow.models.dead_message import DeadMessage
from furrow.models.drift import Drift
from furrow.models.event import Event
from furrow.models.flower import Flower
from furrow.models.hold import Hold
from furrow.models.job import Job
from furrow.models.leader import Leader
from furrow.models.log_line import LogLine
from furrow.models.output_chunk import OutputChunk
from furrow.models.queue import Queue
from furrow.models.reply import Reply
from furrow.models.rollup import ErrorCount, ErrorGroup, Rollup
from furrow.models.schedule import Schedule, Tick
from furrow.models.signal import Signal
from furrow.models.step import Step
from furrow.models.stream_place import StreamPlace
from furrow.models.trouble import Trouble
from furrow.models.watched import WatchedCall, WatchedTask
from furrow.models.webhook import Webhook
from furrow.models.worker import Worker
from furrow.models.worker_request import WorkerRequest
from furrow.models.workflow import Edge, Move, Node, Workflow

__all__ = [
    "ApiAnswer",
    "ApiToken",
    "Approval",
    "Attempt",
    "AuditEntry",
    "Backfill",
    "BridgeReader",
    "BridgedMessage",
    "Canary",
    "DeadMessage",
    "Drift",
    "Edge",
    "Epoch",
    "ErrorCount",
    "ErrorGroup",
    "Event",
    "Flower",
    "Hold",
    "Job",
    "Leader",
    "Lock",
    "LogLine",
    "Move",
    "Node",
    "OutputChunk",
    "Queue",
    "Reply",
    "Rollup",
    "Schedule",
    "Signal",
    "Step",
    "StreamPlace",
    "Tick",
    "Trouble",
    "WatchedCall",
    "WatchedTask",
    "Webhook",
    "Worker",
    "WorkerRequest",
    "Workflow",
]
