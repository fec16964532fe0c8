"""Epochs: why fencing tokens never go back, whatever becomes of Redis.

A token is an epoch's number followed by a counter in Redis. The scripts that give tokens compare the run_id of the server that
they run on with the one that the epoch was begun on. Where they differ (Redis was restarted, with its data, an older copy of
it, or without; a replica took over; everything was deleted) no token is given until a new epoch is begun here, with the next
number from the database.
"""

import logging

from django.db import DatabaseError, connections, router

from furrow.locks import strange
from furrow.locks.errors import LockUnavailable
from furrow.locks.keys import key
from furrow.locks.models import Epoch
from furrow.tables import EPOCH

logger = logging.getLogger(__name__)

_RESERVE = f"""
    INSERT INTO {EPOCH} (id, number) VALUES (1, %(floor)s + 1)
    ON CONFLICT (id) DO UPDATE
    SET number = CASE WHEN {EPOCH}.number > %(floor)s THEN {EPOCH}.number ELSE %(floor)s END + 1
    RETURNING number
"""


def begin(floor: int) -> None:
    """Begin a new epoch, with a number above ``floor`` and above every one before.

    Raises:
        LockUnavailable: Redis or the database is not there.
    """
    for _ in range(3):
        number = _reserve(floor)
        begun = strange.run("begin", [key("epoch")], [number, "1" if number == 1 else ""])
        if begun in (0, 1):
            if begun and number > 1:
                logger.warning("Redis began anew: locks are given again when the leases from before are over.")
            return
        floor = number


def _reserve(floor: int) -> int:
    """The next number, on a connection of its own: a transaction of the caller's must not be able to roll it back."""
    own = connections[router.db_for_write(Epoch)].copy()
    try:
        with own.cursor() as cursor:
            cursor.execute(_RESERVE, {"floor": floor})
            return int(cursor.fetchone()[0])
    except DatabaseError as error:
        raise LockUnavailable(
            f"Redis began anew, so locks need a number from the database, which did not give one ({str(error).strip()}). "
            "On SQLite, take locks before a transaction begins, not inside of it."
        ) from error
    finally:
        own.close()
