"""In the pool process: the transaction of a ``transactional`` run, which its handler can neither leave nor end unseen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError

from furrow.errors import TransactionEnded

#: PostgreSQL's: no such savepoint; no transaction.
_GONE = ("3B001", "25P01")
_REMEDY = "Use transaction.atomic() for parts of it, or declare the kind without transactional=True."


@contextmanager
def held(link: Any) -> Iterator[None]:
    """Around the handler, in a transaction of this connection. A savepoint is held: it ends with its transaction, also when
    that is ended by SQL of the handler's own and followed by another. Closing the connection does nothing meanwhile, so that
    ``close_old_connections()`` does no harm.

    Raises:
        TransactionEnded: it is another transaction, or one that can only be rolled back.
    """
    savepoint = link.savepoint()
    link.close = link.close_if_unusable_or_obsolete = _stays_open
    try:
        yield
    finally:
        del link.close, link.close_if_unusable_or_obsolete
    if link.needs_rollback:
        raise TransactionEnded(
            "the transaction can only be rolled back: the handler called set_rollback(True), or went on after an error of the "
            f"database. {_REMEDY}"
        )
    try:
        link.savepoint_commit(savepoint)
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) in _GONE or "no such savepoint" in str(error):
            raise TransactionEnded(
                "the handler ended the transaction that settles its job (COMMIT, ROLLBACK, or SQLite's executescript), so "
                f"that a part of what it wrote may be kept and another lost. {_REMEDY}"
            ) from None
        raise


def _stays_open() -> None:
    """In the place of what closes a connection."""
