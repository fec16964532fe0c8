"""Whose fault an error is: the value's, which no second try makes storable, or the connection's, the server's, the schema's.

Only the first may cost a run its end. Everything that is not certainly the value's is tried again on a new connection: a pooler
that has lost a prepared statement (26000, 42P05), a full disk, a cancelled statement, a lost race, a missing table.
"""

import sqlite3

from django.db import DataError, Error, IntegrityError

#: SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded (a value too large or too deep).
_OF_THE_VALUE = frozenset({"22", "23", "54"})
#: What an adapter raises for a value that it cannot send: half of a surrogate pair, an integer of too many digits, no end.
UNSENDABLE = (ValueError, OverflowError, RecursionError)
#: What a statement may raise: the database's errors, and its adapter's.
ANY = (Error, *UNSENDABLE)


def refuses_value(error: BaseException) -> bool:
    """Whether this error of a statement is the fault of a value in it, whatever the connection or the server: it would be
    refused again."""
    cause = error.__cause__ or error
    if state := getattr(cause, "sqlstate", None):
        return str(state)[:2] in _OF_THE_VALUE
    if isinstance(cause, sqlite3.Error):
        too_big = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG
        return too_big or isinstance(cause, (sqlite3.IntegrityError, sqlite3.DataError)) or "malformed JSON" in str(cause)
    return isinstance(error, (DataError, IntegrityError, *UNSENDABLE))
