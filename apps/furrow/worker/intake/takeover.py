"""What a worker takes over: when the run of a job with a lock ends, the key passes to the next jobs that wait for it, in the
statement that settles the run, if this worker has nothing else to do. Otherwise it goes back, and the dispatcher says who is
next, a round and a message later.

Short jobs are taken over in a *line*: one pool process runs them one after the other, and the key's slot passes from each to
the next as they are settled. docs/decisions/0014-keys-are-handed-over.md has the reasons.
"""

from collections.abc import Sequence
from typing import Any

from furrow.conf import conf
from furrow.kinds.kind import all_kinds
from furrow.statements import Claimed, HandOver
from furrow.worker.intake.intake import Intake
from furrow.worker.intake.requests import job_queues
from furrow.worker.pool.prefetch import AHEAD
from furrow.worker.pool.supervisor import PoolSupervisor


class TakeOver:
    """Looks and takes in the event loop's thread, offers in the ledger's."""

    def __init__(self, worker: Any, supervisor: PoolSupervisor, intake: Intake) -> None:
        self._worker, self._supervisor, self._intake = worker, supervisor, intake
        self._room = 0.0
        self._queues: Sequence[str] = ()
        self._kinds: Sequence[str] = ()
        #: Something was offered, and what came of it is not known here yet.
        self.claiming = False
        self._closed = False

    def look(self) -> None:
        """In the event loop's thread, once reports were read. A message that waits here is of a job that comes before."""
        supervisor, others = self._supervisor, conf().partitioned.keys() | conf().queue_limits.keys()
        if not supervisor.ledger.limited:
            return
        if not self._kinds:  # a transactional job settles itself, while its line may have to move on
            self._kinds = [kind.name for kind in all_kinds() if not kind.transactional]
        free = not (supervisor.capacity.blocked or self._intake.waiting) and supervisor.ledger.lease.is_held()
        self._room = supervisor.capacity.room() if free else 0.0
        self._queues = [name for name in job_queues(self._worker) if name not in supervisor.paused and name not in others]

    def offer(self, kinds: Sequence[str]) -> HandOver | None:
        """In the ledger's thread: to whom the keys of these runs (their kinds) may pass; ``None``: to nobody here."""
        cost = max(map(self._supervisor.capacity.prefetch.cost, kinds))
        room = int(self._room / cost)
        self.claiming = room > 0 and not self._closed
        if not self.claiming:
            return None
        keys = min(len(kinds), room)
        jobs = max(1, min(room // keys, int(AHEAD / cost)))
        self._room -= keys * jobs * cost  # until the next look
        return HandOver(keys, jobs, self._queues, self._kinds)

    def close(self) -> None:
        """Offer nothing more."""
        self._closed = True

    def take(self, jobs: list[Claimed]) -> None:
        """In the event loop's thread: run these, to which something that was offered has passed."""
        self.claiming = False
        self._supervisor.take_over(jobs)
