"""Questions to the private database, past Django and past the proxies, so that they are answered whatever the campaign cuts."""

import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from deploy.services import Postgres

from furrow.prove import audit

Row = tuple[Any, ...]


class Database(ABC):
    """The private database. Ids come as 32 hex digits, times (of columns wrapped in :meth:`epoch`) as seconds."""

    #: The DDL of the audit; and SQL that finds a trigger by its name.
    audit: str
    triggers: str

    @abstractmethod
    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Ask; ``?`` stands for a parameter. Raises the driver's error when the database is away."""

    @abstractmethod
    def run(self, script: str) -> None:
        """Run statements that return nothing, each in a transaction of its own."""

    @abstractmethod
    def epoch(self, column: str) -> str:
        """SQL for a time as seconds since the epoch."""


class PostgreSQL(Database):
    """One connection a question; also while the campaign has made the server read-only."""

    triggers = "SELECT 1 FROM pg_trigger WHERE tgname = ?"

    def __init__(self, server: Postgres, *, clocked: bool = False) -> None:
        self._server = server
        self.audit = audit.POSTGRESQL + (audit.CLOCKED if clocked else "")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._connect() as link:
            return _plain(link.execute(sql.replace("?", "%s").encode(), parameters))

    def run(self, script: str) -> None:
        with self._connect() as link:
            link.execute(script.encode())

    def epoch(self, column: str) -> str:
        return f"extract(epoch FROM {column})::float8"

    def _connect(self) -> "psycopg.Connection[Row]":
        return psycopg.connect(
            self._server.url, autocommit=True, connect_timeout=3, options="-c default_transaction_read_only=off"
        )


class SQLite(Database):
    """The file."""

    audit = audit.SQLITE
    triggers = "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?"

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with closing(sqlite3.connect(self.path, timeout=30)) as link:
            return _plain(link.execute(sql, parameters))

    def run(self, script: str) -> None:
        with closing(sqlite3.connect(self.path, timeout=30)) as link:
            link.executescript(script)

    def epoch(self, column: str) -> str:
        return f"(julianday({column}) - 2440587.5) * 86400.0"


def _plain(rows: Iterable[Row]) -> list[Row]:
    return [tuple(value.hex if isinstance(value, uuid.UUID) else value for value in row) for row in rows]
