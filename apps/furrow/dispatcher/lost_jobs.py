"""Lost jobs: workflows go on whose jobs somebody deleted past the trigger that tells of it (TRUNCATE, a restored part)."""

from furrow import statements
from furrow.dispatcher.leader import Leadership
from furrow.models.database import atomic, connection

#: Nodes in one round.
AT_ONCE = 1_000


class LostJobs:
    """Seldom: a look at the nodes of all workflows that have not ended."""

    interval = 600.0

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership

    def run_once(self) -> int:
        """Count jobs that are gone as cancelled; returns for how many nodes."""
        sql = statements.on(connection)
        with atomic():
            if not sql.leads(connection, self._leadership.term or 0):
                return 0
            return sql.count_lost_jobs(connection, AT_ONCE)
