"""How statements reach PostgreSQL: parameters beside the text, arrays as text, many statements in one round trip."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from psycopg.pq import TransactionStatus

from furrow.statements import BRIEF
from furrow.statements.postgresql.pooled import is_pooled, keep_set, local_settings, set_up

_BRIEF = f"{int(BRIEF * 1000)}ms"
#: A statement's text and parameters.
Statement = tuple[str, Sequence[Any]]


def prepare(connection: Connection, patience: float) -> None:
    """Pin the plans of a connection that only looks rows up by key: on a table that grew since its last ANALYZE the planner
    prefers a hash join over a sequential scan, and a prepared statement keeps that plan. ``patience``: seconds after which a
    statement gives up on a lock."""
    if not is_pooled(connection):
        connection.connection.prepare_threshold = 5  # Django turns prepared statements off
    off = dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off")
    keep_set(connection, {**off, "lock_timeout": f"{int(patience * 1000)}ms"})


def in_one_go(
    connection: Connection, given: Iterable[Statement], *, durable: bool = True, patient: bool = True
) -> "list[psycopg.Cursor[tuple[Any, ...]]]":
    """Run these in the caller's transaction or one of their own, in libpq's pipeline mode: all is sent, then all is read.

    ``durable``: its commit waits for the disk. Not ``patient``: it waits for no lock for longer than ``BRIEF``."""
    connection.ensure_connection()
    link: psycopg.Connection[tuple[Any, ...]] = connection.connection
    own = not connection.in_atomic_block
    hasty = {"lock_timeout": _BRIEF} if own and not patient else {}
    if own and not durable:
        hasty["synchronous_commit"] = "off"
    begun = link.info.transaction_status != TransactionStatus.IDLE
    settings = local_settings(connection, **hasty)
    with connection.wrap_database_errors, link.pipeline():
        if own:
            link.execute("BEGIN")
        if settings and not begun:
            link.execute(settings)
        answers = [psycopg.Cursor(link).execute(text, parameters, prepare=True) for text, parameters in given]
        if own:
            link.execute("COMMIT")
    return answers


def entries(column: str, otherwise: str = "") -> str:
    """SQL: the elements of a JSON array; ``otherwise`` is what there is in place of what is no array (nothing)."""
    return f"jsonb_array_elements(CASE jsonb_typeof({column}) WHEN 'array' THEN {column} ELSE '[{otherwise}]' END)"


def plain(values: Iterable[Any]) -> str:
    """An array's text, of numbers, ids and other words that need no quotes: psycopg takes ten times as long for a list."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """An array's text, of any text."""
    quoted = ["NULL" if value is None else '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"' for value in values]
    return "{" + ",".join(quoted) + "}"


def columns(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """The columns of these rows as arrays' texts."""
    return [(texts if isinstance(column[0], str) else plain)(column) for column in zip(*rows, strict=True)]


@contextmanager
def raw(connection: Connection) -> "Iterator[psycopg.Cursor[Any]]":
    """A server-side binding cursor on Django's connection: parameters go in binary, not pasted into the text. Its errors are
    Django's, like those of every other cursor."""
    connection.ensure_connection()
    with connection.wrap_database_errors, set_up(connection), psycopg.Cursor(connection.connection) as cursor:
        yield cursor
