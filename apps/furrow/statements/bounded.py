"""Reading with an end: a query that takes longer than it may is given up."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper as Connection


class TookTooLong(Exception):
    """A query was given up; it has changed nothing."""


@contextmanager
def at_most(connection: Connection, seconds: float) -> Iterator[None]:
    """Each query within may take so many seconds (on SQLite: all of them together).

    Raises:
        TookTooLong: one did.
    """
    watched = _postgresql if connection.vendor == "postgresql" else _sqlite
    try:
        with watched(connection, seconds):
            yield
    except OperationalError as error:
        cause = error.__cause__
        interrupted = isinstance(cause, sqlite3.OperationalError) and "interrupted" in str(cause)
        if interrupted or isinstance(cause, psycopg.errors.QueryCanceled):
            raise TookTooLong from None
        raise


@contextmanager
def _postgresql(connection: Connection, seconds: float) -> Iterator[None]:
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
        yield
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


@contextmanager
def _sqlite(connection: Connection, seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    end = time.monotonic() + seconds
    connection.connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        yield
    finally:
        connection.connection.set_progress_handler(None, 0)
