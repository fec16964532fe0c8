"""Changes: apply changed limits to jobs that already wait."""

from furrow import statements
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.limited import current
from furrow.limits.stored import legible
from furrow.models.database import atomic, connection
from furrow.statements import Waiting

#: Keys that one round looks at, and jobs of a key that it lets go.
KEYS, JOBS = 2_000, 1_000


class Changes:
    """Declarations and settings are read when a dispatcher starts: so once in each term it looks at every key that is waited
    for. Where the first job's limit of it is another today, those that wait are let go, and judged by today's."""

    interval = 1.0

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self._term: int | None = None
        self._after: str | None = ""  # the key that was looked at last; ``None``: all were

    def run_once(self) -> int:
        """Look at some keys; returns how many jobs were let go."""
        sql, term = statements.on(connection), self._leadership.term or 0
        if term != self._term:
            self._term, self._after = term, ""
        if self._after is None:
            return 0
        released = 0
        with atomic():
            if not sql.leads(connection, term):
                return 0
            waiting: list[Waiting] = sql.waited_for(connection, self._after, KEYS)
            for one in waiting:
                if _changed(one):
                    released += (many := sql.let_go(connection, one.key, JOBS))
                    if many == JOBS:  # more of it in the next round
                        break
                self._after = one.key
            else:
                self._after = waiting[-1].key if len(waiting) == KEYS else None
        return released


def _changed(waiting: Waiting) -> bool:
    stored = legible(waiting.limits)
    today = {limit.key: limit for limit in current(stored, waiting.kind, waiting.queue)}
    return today.get(waiting.key) != next((limit for limit in stored if limit.key == waiting.key), None)
