"""What a worker takes over: when the run of a job with a lock ends, the key passes to the next jobs that wait for it, in the
statement that settles the run, if this worker has nothing else to do. Otherwise it goes back, and the dispatcher says who is
next, a round and a message later.

Short jobs are taken over in a *line*: one pool process runs them one after the other, and the key's slot passes from each to
the next as they are settled. docs/decisions/0014-keys-are-handed-over.md has the reasons.
"""

from collections.abc import Sequence
from typing import Any

from apps.jobs.conf import conf
from apps.jobs.kinds import all_kinds
from apps.jobs.statements import HandOver
from apps.jobs.worker.crew import Crew
from apps.jobs.worker.errands import job_queues
from apps.jobs.worker.intake import Intake
from apps.jobs.worker.pace import AHEAD


class TakeOver:
    """Looks in the event loop's thread, offers in the ledger's."""

    def __init__(self, worker: Any, crew: Crew, intake: Intake) -> None:
        self._worker, self._crew, self._intake = worker, crew, intake
        self._room = 0.0
        self._queues: Sequence[str] = ()
        self._kinds: Sequence[str] = ()
        crew.ledger.take_over = self.offer

    def look(self) -> None:
        """Once reports were read. A message that waits here is of a job that comes before."""
        if not self._crew.ledger.has_limited:
            return
        if not self._kinds:  # a transactional job settles itself, while its line may have to move on
            self._kinds = [kind.name for kind in all_kinds() if not kind.transactional]
        crew = self._crew
        free = not (crew.stopping or crew.blocked or self._intake.waiting) and crew.ledger.lease.is_held()
        self._room = crew.room() if free else 0.0
        self._queues = [name for name in job_queues(self._worker) if name not in crew.paused and name not in conf().partitioned]

    def offer(self, kinds: Sequence[str]) -> HandOver | None:
        """To whom the keys of these runs (their kinds) may pass; ``None``: to nobody here."""
        cost = max(map(self._crew.pace.cost, kinds))
        room = int(self._room / cost)
        if room < 1:
            return None
        keys = min(len(kinds), room)
        return HandOver(keys, max(1, min(room // keys, int(AHEAD / cost))), self._queues, self._kinds)
