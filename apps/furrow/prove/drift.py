"""What is left when every job and every process has ended: it should be nothing."""

import time
from collections.abc import Iterator

from deploy.processes import until

from furrow.plural import counted
from furrow.prove.stack import Stack
from furrow.statements.words import FINAL
from furrow.tables import HOLD, JOB, LEADER, WORKER

#: Seconds in which second messages may still be dropped by their claims.
SETTLING = 30.0


def look(stack: Stack) -> list[str]:
    """Stop the processes in order, and say what is held or kept by nobody."""
    found = [*_rows(stack), *_holds(stack), *_messages(stack)]
    for role in ("external", "web", "bridge", "worker", "dispatcher", "listener", "sink"):
        for program in stack.of(role):
            if not program.stop(seconds=30):
                found.append(f"{program.name} did not end within 30 seconds of SIGTERM")
    return [*found, *_leases(stack), *_sessions(stack)]


def _rows(stack: Stack) -> Iterator[str]:
    left = stack.database.rows(f"SELECT state, count(*) FROM {JOB} WHERE state NOT IN {FINAL} GROUP BY state")
    for state, count in left:
        yield f"still {state}: {counted(count, 'job')}"


def _holds(stack: Stack) -> Iterator[str]:
    """Of jobs that have not ended nobody need give anything back."""
    idle = f"""SELECT h.key, j.state FROM {HOLD} h LEFT JOIN {JOB} j ON j.id = h.job
              WHERE h.job IS NOT NULL AND (j.state IS NULL OR j.state IN {FINAL})"""
    if not until(lambda: not stack.database.rows(idle), SETTLING, 0.5):
        yield from (f"{key} is held by a job that is {state or 'gone'}" for key, state in stack.database.rows(idle))


def _messages(stack: Stack) -> Iterator[str]:
    depths: dict[str, int] = {}

    def empty() -> bool:
        depths.clear()
        for line in stack.rabbitmq.ctl("list_queues", "--quiet", "--no-table-headers", "name", "messages").splitlines():
            name, _, messages = line.rpartition("\t")
            if not name.endswith(".pidbox") and not name.startswith(("celeryev", "celery_delayed")):
                depths[name] = int(messages or 0)
        return not any(depths.values())

    if not until(empty, SETTLING, 1.0):
        yield from (f"left in queue {name}: {counted(count, 'message')}" for name, count in depths.items() if count)


def _leases(stack: Stack) -> Iterator[str]:
    epoch = stack.database.epoch
    for node, pid in stack.database.rows(f"SELECT node, pid FROM {WORKER} WHERE stopped_at IS NULL"):
        yield f"worker {node} (process {pid}) has not given its lease back"
    for (holder,) in stack.database.rows(f"SELECT holder FROM {LEADER} WHERE {epoch('lease_until')} > ?", [time.time()]):
        yield f"{holder} still leads, and has ended"


def _sessions(stack: Stack) -> Iterator[str]:
    """Connections to PostgreSQL, and the locks that they hold, end with their processes."""
    if stack.vendor != "postgresql":
        return
    left: list[tuple[str, ...]] = []

    def none() -> bool:
        left[:] = stack.database.rows(
            "SELECT state, left(query, 100) FROM pg_stat_activity WHERE usename = 'prove' AND pid <> pg_backend_pid() "
            "UNION ALL SELECT 'prepared transaction', gid FROM pg_prepared_xacts"
        )
        return not left

    if not until(none, SETTLING, 0.5):
        yield from (f"a session of a process that ended is left: {state}, {query}" for state, query in left)
