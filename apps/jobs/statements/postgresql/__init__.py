"""The statements for PostgreSQL: arrays in, sets out, one round trip each."""

from apps.jobs.statements.postgresql.dispatch import due, lead, mark_queued, prune, seconds_until_due, waiting, window
from apps.jobs.statements.postgresql.link import prepare
from apps.jobs.statements.postgresql.partitions import partition_keys, unended, workers_of
from apps.jobs.statements.postgresql.rollups import count_cancelled, roll
from apps.jobs.statements.postgresql.runs import claim, disown, settle, unknown, write
from apps.jobs.statements.postgresql.submit import insert_jobs
from apps.jobs.statements.postgresql.workers import owned, register_worker, renew, stop_requests, stop_worker

__all__ = [
    "claim",
    "count_cancelled",
    "disown",
    "due",
    "insert_jobs",
    "lead",
    "mark_queued",
    "owned",
    "partition_keys",
    "prepare",
    "prune",
    "register_worker",
    "renew",
    "roll",
    "seconds_until_due",
    "settle",
    "stop_requests",
    "stop_worker",
    "unended",
    "unknown",
    "waiting",
    "window",
    "workers_of",
    "write",
]
