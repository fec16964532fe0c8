"""Turns: tenants that share a queue take turns, by weight, however many jobs each has."""

from furrow import statements
from furrow.conf import conf
from furrow.models.database import atomic, connection


class Turns:
    """Of one queue. Jobs with a fair key wait at a gate (``held = 'fair'``); each round lets in as many as there is room for, a
    share of each tenant that has some. With more tenants than room the next round goes on with the next ones."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self._last: str | None = None

    def take(self, room: int, term: int) -> int:
        """Let in at most ``room`` jobs; returns how many."""
        sql = statements.on(connection)
        names: list[str] = sql.tenants(connection, self.queue, self._last, room)
        if self._last is not None and len(names) < room:
            names += [name for name in sql.tenants(connection, self.queue, None, room - len(names)) if name not in names]
        if not names:
            self._last = None
            return 0
        shares = shares_of(names, conf().fair_weights, room)
        self._last = list(shares)[-1]
        with atomic():
            if not sql.leads(connection, term):
                return 0
            taken: int = sql.take_turns(connection, self.queue, shares)
        return taken


def shares_of(names: list[str], weights: dict[str, int], room: int) -> dict[str, int]:
    """How many of each: by weight, one at least, ``room`` in all at most; the last ones go without when there is no room."""
    total = sum(weights.get(name, 1) for name in names)
    shares: dict[str, int] = {}
    for name in names:
        share = min(max(1, room * weights.get(name, 1) // total), room - sum(shares.values()))
        if share <= 0:
            break
        shares[name] = share
    return shares
