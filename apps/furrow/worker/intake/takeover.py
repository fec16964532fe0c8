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
from furrow.worker.intake.errands import job_queues
from furrow.worker.intake.intake import Intake
from furrow.worker.pool.crew import Crew
from furrow.worker.pool.pace import AHEAD


class TakeOver:
    """Looks in the event loop's thread, offers in the ledger's."""

    def __init__(self, worker: Any, crew: Crew, intake: Intake) -> None:
        self._worker, self._crew, self._intake = worker, crew, intake
        self._room = 0.0
        self._queues: Sequence[str] = ()
        self._kinds: Sequence[str] = ()
        #: Something was offered, and what came of it is not known here yet.
        self.claiming = False
        crew.ledger.take_over, crew.ledger.on_handed_over = self.offer, self._take

    def look(self) -> None:
        """Once reports were read. A message that waits here is of a job that comes before."""
        crew, others = self._crew, conf().partitioned.keys() | conf().queue_limits.keys()
        if not crew.ledger.limited:
            return
        if not self._kinds:  # a transactional job settles itself, while its line may have to move on
            self._kinds = [kind.name for kind in all_kinds() if not kind.transactional]
        free = not (crew.blocked or self._intake.waiting) and crew.ledger.lease.is_held()
        self._room = crew.room() if free else 0.0
        self._queues = [name for name in job_queues(self._worker) if name not in crew.paused and name not in others]

    def offer(self, kinds: Sequence[str]) -> HandOver | None:
        """To whom the keys of these runs (their kinds) may pass; ``None``: to nobody here."""
        cost = max(map(self._crew.pace.cost, kinds))
        room = int(self._room / cost)
        self.claiming = room > 0 and not self._intake.closed
        if not self.claiming:
            return None
        keys = min(len(kinds), room)
        jobs = max(1, min(room // keys, int(AHEAD / cost)))
        self._room -= keys * jobs * cost  # until the next look
        return HandOver(keys, jobs, self._queues, self._kinds)

    def _take(self, jobs: list[Claimed]) -> None:
        self.claiming = False
        self._crew.take_over(jobs)
