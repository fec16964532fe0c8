"""A pooler between us and PostgreSQL: PgBouncer in transaction mode, and its like.

Such a pooler gives each transaction whichever server connection is free. So nothing of a session lasts from one transaction to
the next: a prepared statement is missing or is somebody else's, a cursor is gone, and a setting changes what other clients'
statements do. Where a pooler is found, statements are not prepared, cursors are not kept on the server, and our settings are
made anew in each transaction.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from psycopg.pq import TransactionStatus


def look_for_pooler(connection: Connection) -> None:
    """Find out, once a connection has begun, whether a pooler answers in PostgreSQL's place: it tells a process id of its own
    invention. PgBouncer in session mode is taken for one in transaction mode, which costs a little and breaks nothing."""
    link = connection.connection
    with connection.wrap_database_errors:
        (pid,) = link.execute("SELECT pg_backend_pid()").fetchone()
    link.furrow_pooled = pid != link.info.backend_pid
    if link.furrow_pooled:
        connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler was found."""
    return getattr(connection.connection, "furrow_pooled", False)


def keep_set(connection: Connection, settings: Mapping[str, str]) -> None:
    """Let these settings of PostgreSQL hold for all that this connection does."""
    link = connection.connection
    if not is_pooled(connection):
        with connection.wrap_database_errors:
            link.execute(_setting(settings, local=False))
        return
    link.furrow_settings = {**_kept(connection), **settings}
    if _with_settings not in connection.execute_wrappers:
        connection.execute_wrappers.append(_with_settings)


def local_settings(connection: Connection, **more: str) -> str:
    """The statement that makes what :func:`keep_set` was told behind a pooler, and these, hold for a transaction that has
    just begun; empty when there is nothing to make."""
    settings = {**_kept(connection), **more}
    return _setting(settings, local=True) if settings else ""


@contextmanager
def set_up(connection: Connection) -> Iterator[None]:
    """Statements within have the settings kept for a pooler: in the caller's transaction, else in one of their own."""
    link = connection.connection
    statement = local_settings(connection)
    if not statement or link.info.transaction_status != TransactionStatus.IDLE:
        yield
    elif not link.autocommit:
        link.execute(statement)
        yield
    else:
        with link.transaction():
            link.execute(statement)
            yield


def _kept(connection: Connection) -> dict[str, str]:
    return getattr(connection.connection, "furrow_settings", {})


def _setting(settings: Mapping[str, str], *, local: bool) -> str:
    calls = [f"set_config('{name}', {psycopg.sql.quote(value)}, {str(local).lower()})" for name, value in settings.items()]
    return "SELECT " + ", ".join(calls)


def _with_settings(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Django's hook around each statement of its cursors."""
    connection: Connection = context["connection"]
    with connection.wrap_database_errors, set_up(connection):
        return execute(sql, params, many, context)
