"""Offer: let in jobs with limits of a queue whose workers are elsewhere.

Nothing of such a queue goes to RabbitMQ. External workers claim its due jobs themselves; of those with limits only the ones
that are ``queued``, which the leading dispatcher marks once they have all their slots.
"""

from furrow.dispatcher.admission import Admission
from furrow.dispatcher.limited import Limited
from furrow.dispatcher.locked_rows import LockedRows
from furrow.models import Job
from furrow.states import State

#: Jobs that are let in and not begun, at most.
WINDOW = 500


class Offer:
    """Of one external queue."""

    def __init__(self, queue: str, admission: Admission, locked: LockedRows) -> None:
        self.queue = queue
        self._limited = Limited(queue, admission)
        self._locked = locked
        #: After a round: there may be more to let in.
        self.more = False

    def run_once(self, term: int) -> int:
        """Let in what has its slots; returns how many."""
        room = WINDOW - Job.objects.filter(state=State.QUEUED, queue=self.queue).count()
        if room <= 0:
            return 0
        jobs = self._locked.without(self._limited.due(room, None, term))
        if jobs:
            self._locked.mark({job.id: job.attempt for job in jobs}, term)
        self.more = bool(jobs)
        return len(jobs)

    def seconds_until_due(self) -> float | None:
        """Until the next job with limits that waits for no key is due; ``None`` when there is none."""
        return self._limited.seconds_until_due()
