"""The database sessions of a worker or a dispatcher, and their end when it is taken for dead.

A process that is frozen in the middle of a transaction, or whose machine is cut off there, keeps the rows that it wrote locked:
whoever wants to take its work over would wait for as long as that lasts. So each process gives its sessions a name that the
others know, and who takes it for dead ends them first. That also rolls back what its handlers had not committed.
"""

import logging
import secrets
from collections.abc import Iterable
from typing import Any

from django.db import Error, ProgrammingError
from django.db.backends.signals import connection_created

from furrow import statements
from furrow.models.database import alias, connection
from furrow.plural import counted

logger = logging.getLogger(__name__)

#: The part of its lease that the dispatcher's statements wait for a lock: who waits longer could not renew it in time.
PATIENCE = 0.3
#: SQLSTATE of ``lock_timeout``, of a deadlock and of a serialization failure.
_CONTENDED = {"55P03", "40P01", "40001"}


def contended(error: BaseException) -> bool:
    """The database is there; another transaction was in the way of this one, which has changed nothing."""
    return getattr(error.__cause__, "sqlstate", "") in _CONTENDED or "database is locked" in str(error)


def what_is_wrong(error: BaseException) -> str:
    """With the database, in a log: "The database …"."""
    if contended(error):
        return "is held up by others' locks"
    lacking = isinstance(error, ProgrammingError) or "no such table" in str(error) or "no such column" in str(error)
    return "lacks tables or columns: type python manage.py migrate" if lacking else "is away"


def new_name() -> str:
    """For the sessions of one process and of its children: eight hexadecimal digits."""
    return secrets.token_hex(4)


def give_name(name: str, *, patience: float | None = None) -> None:
    """Name all sessions that this process and its children begin from now on. ``patience``: seconds after which a statement of
    theirs gives up on a lock."""

    def begun(sender: object, connection: Any, **kwargs: object) -> None:
        if connection.alias == alias():
            statements.on(connection).name_session(connection, name, patience)

    connection_created.connect(begun, weak=False, dispatch_uid="furrow.sessions")


def end(names: Iterable[str]) -> None:
    """End all sessions of these names."""
    given = [name for name in names if name]
    if not given:
        return
    try:
        ended = statements.on(connection).end_sessions(connection, given)
    except Error as error:
        logger.warning(
            "Sessions of a dead process were not ended (%s): what it has locked stays so until PostgreSQL misses it. Let all "
            "parts of Furrow have the same role, or GRANT pg_signal_backend to the dispatcher's.",
            str(error).strip(),
        )
        connection.close()
    else:
        if ended:
            logger.warning("Ended %s of a dead process.", counted(ended, "session"))
