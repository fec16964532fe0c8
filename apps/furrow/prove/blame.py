"""What explains a run that was cut off: a fault that hit its very process, or everybody's database. Pure."""

from collections.abc import Iterator

from furrow.prove.evidence import AttemptRow, Evidence, Run
from furrow.prove.faults.base import Happened

#: Seconds after its end in which a fault may still have consequences: a lease, a round of rescue, a reconnect.
AFTERMATH = 15.0
#: Seconds by which the clock of a trigger may differ from a handler's: SQLite's counts milliseconds.
BLUR = 0.05

#: Faults after which RabbitMQ has lost messages that it had confirmed.
EMPTIED = frozenset({"wipe_rabbitmq", "restore_rabbitmq"})

#: What a check finds: a job (or none), and what is wrong with it.
Found = Iterator[tuple[str | None, str]]


def culprits(e: Evidence, run: Run, row: AttemptRow | None) -> list[Happened]:
    """The faults that hit this run's process, its worker, or everybody's database, before it was settled."""
    until = max(run.ended or run.began, row.finished if row else 0.0)
    return _hits(e, {run.pid, run.parent}, row, run.began, until)


def enders(e: Evidence, row: AttemptRow) -> list[Happened]:
    """The faults that hit whoever was to run this attempt, also where its handler has not begun."""
    return _hits(e, {row.pid}, row, row.started, row.finished)


def around(e: Evidence, server: str, began: float, until: float) -> bool:
    """This server was away for everybody at some time between these, or shortly before."""
    return any(
        server in fault.servers and fault.began <= until + BLUR and began <= (fault.recovered or fault.healed) + AFTERMATH
        for fault in e.faults
    )


def emptied(e: Evidence, began: float, until: float) -> bool:
    """RabbitMQ lost its data at some time between these, or what was bound to it was not yet bound again."""
    return any(
        fault.kind in EMPTIED and fault.began <= until and began <= (fault.recovered or fault.healed + AFTERMATH) + AFTERMATH
        for fault in e.faults
    )


def meanwhile(e: Evidence, row: AttemptRow) -> bool:
    """Anything at all was wrong during this attempt, or shortly before."""
    return any(
        fault.began <= row.finished + BLUR and row.started <= (fault.recovered or fault.healed) + AFTERMATH
        for fault in e.faults
    )


def row_of(e: Evidence, job: str, run: Run) -> AttemptRow | None:
    """The recorded attempt of this run."""
    return next((row for row in e.attempts.get(job, []) if row.number == run.attempt), None)


def _hits(e: Evidence, pids: set[int], row: AttemptRow | None, began: float, until: float) -> list[Happened]:
    if row is not None and row.worker in e.workers:
        pids = pids | {e.workers[row.worker][1]}
    return [
        fault
        for fault in e.faults
        if fault.began <= until + BLUR
        and began <= (fault.recovered or fault.healed) + AFTERMATH
        and (fault.pids & pids or "postgres" in fault.servers)
    ]
