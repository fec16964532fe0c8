"""Pauses: know the paused queues, and take back their jobs from RabbitMQ."""

from furrow.actions.queues import put_back
from furrow.models import Job
from furrow.models.database import connection
from furrow.states import State
from furrow.tables import QUEUE


class Pauses:
    """``paused`` are the queues from which nothing is sent; of those that are drained what was sent still runs."""

    interval = 1.0

    def __init__(self) -> None:
        self.paused: set[str] = set()
        self._closed: list[str] = []  # paused and not drained

    def look(self) -> None:
        """See which queues are paused; before every round, which sends hundreds of jobs."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT name, draining FROM {QUEUE} WHERE paused_at IS NOT NULL")
            rows = cursor.fetchall()
        self.paused = {name for name, _ in rows}
        self._closed = [name for name, draining in rows if not draining]

    def run_once(self) -> int:
        """Jobs of paused queues that RabbitMQ holds wait in the database again, where they can be seen, reordered and
        cancelled; returns how many. Their messages are refused by the claim, and so go."""
        if not self._closed:
            return 0
        return put_back(Job.objects.filter(queue__in=self._closed, state=State.QUEUED))
