"""Heartbeats: a worker keeps its lease, and learns which of its runs it must stop."""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from typing import NamedTuple

from furrow import statements
from furrow.conf import conf
from furrow.external.fence import Run, sort_out
from furrow.external.presence import renew
from furrow.models import Job, WorkerRequest
from furrow.models.database import connection
from furrow.statements import Answer
from furrow.states import State


class Pulse(NamedTuple):
    """What a worker learns."""

    lives: bool  #: its lease holds; if not, all of its runs are lost, and it asks for work as a new worker
    cancelled: list[Run]  #: somebody cancelled them: stop, and tell that they ended
    lost: list[Run]  #: not its own any more: stop, and tell nothing
    stop: bool = False  #: somebody asked this worker to shut down


def beat(worker: uuid.UUID, runs: Sequence[Run] | None, kinds: Collection[str]) -> Pulse:
    """Renew the lease, and compare what the worker runs (``None``: it does not say) with what the database says.

    What the worker has, by the database, for longer than a lease and does not name was in an answer that never reached it: it
    is handed back, and does not count as an attempt."""
    if not renew(worker):
        return Pulse(False, [], list(runs or ()))
    found = sort_out(runs or (), kinds)
    lost = [stale.run for stale in found.stale]
    lost += [run for run, job in found.current.items() if job.worker != worker]
    mine = {run: job for run, job in found.current.items() if job.worker == worker}
    cancelled = [run for run, job in mine.items() if job.cancel_requested_at is not None]
    if runs is not None:
        _hand_back(worker, {run.id for run in runs})
    return Pulse(True, cancelled, lost, _asked_to_stop(worker))


def _hand_back(worker: uuid.UUID, named: Collection[uuid.UUID]) -> None:
    sql = statements.on(connection)
    long_ago = sql.clock(connection) - dt.timedelta(seconds=conf().worker_lease)
    owned = Job.objects.filter(state=State.RUNNING, worker=worker, started_at__lt=long_ago)
    if forgotten := [str(id) for id in owned.values_list("pk", flat=True) if id not in named]:
        sql.release_jobs(connection, worker, forgotten)


def _asked_to_stop(worker: uuid.UUID) -> bool:
    """Take what people ask of it on its page: it can shut down, and nothing else."""
    sql, action = statements.on(connection), WorkerRequest.Action.SHUTDOWN
    asked = sql.asked(connection, worker)
    if asked:
        told, refused = "It was told with the answer to its heartbeat.", "A worker in another language cannot do that."
        sql.answer(connection, [Answer(one.id, *((True, told) if one.action == action else (False, refused))) for one in asked])
    return any(one.action == action for one in asked)
