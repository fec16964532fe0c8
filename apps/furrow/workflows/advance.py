"""Advance: what follows from the ends of jobs.

However a job ends, the transaction that ends it leaves a :class:`~furrow.models.Move` (a trigger writes it). The leading
dispatcher takes these out of the table, adds them up at their nodes, and does what follows, in one transaction: so each is
counted once, whoever dies, and two that both believe they lead share the work. Whoever changes a workflow locks its row first;
one that is locked is left for the next round, and holds up no other.
"""

from furrow import statements
from furrow.models.database import atomic, connection
from furrow.workflows.round import MOVES, Advanced, Round


def advance(term: int) -> int:
    """Take some moves and do what follows, if this term leads; returns how much changed."""
    return advance_round(term).changed


def advance_round(term: int, *, known: bool = False) -> Advanced:
    """As :func:`advance`. Its commit does not wait for the disk: what is lost is done again. ``known``: moves wait."""
    sql = statements.on(connection)
    if not (known or sql.moves_wait(connection)):
        return Advanced(0)
    with atomic():
        if not sql.leads(connection, term):
            return Advanced(0)
        moved = sql.take_moves(connection, MOVES)
        return Round().run(moved) if moved else Advanced(sql.drop_lost_moves(connection, MOVES))
