"""The time by the database's clock: rows are judged by no other, whatever the clock of this machine shows."""

import datetime as dt
import time

from furrow import statements
from furrow.models.database import connection

#: Seconds for which an answer is carried on by the monotonic clock, so that a page asks once.
AGE = 1.0

_known: tuple[dt.datetime, float] | None = None


def now() -> dt.datetime:
    """The database's time.

    Raises:
        Error: the database is away.
    """
    global _known
    known, moment = _known, time.monotonic()
    if known is None or moment - known[1] > AGE:
        _known = known = statements.on(connection).clock(connection), moment
    return known[0] + dt.timedelta(seconds=moment - known[1])
