"""Jobs come into the table."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

#: From this many rows on COPY is faster than INSERT.
COPY_FROM = 20


def insert_jobs(connection: Connection, ids: Sequence[uuid.UUID], texts: Sequence[str], columns: dict[str, Any]) -> int:
    """Insert a pending job for each id and arguments text; the other columns are the same for all. Returns how many: of
    less than ``COPY_FROM`` rows those whose id exists are left out, which does not abort the caller's transaction."""
    names = ["id", "arguments", *columns]
    shared = tuple(columns.values())
    with connection.cursor() as cursor:
        if len(ids) < COPY_FROM:
            row = f"(%s, %s::jsonb{', %s' * len(shared)})"
            cursor.execute(
                f"INSERT INTO jobs_job ({', '.join(names)}) VALUES {', '.join([row] * len(ids))} ON CONFLICT (id) DO NOTHING",
                [value for id, text in zip(ids, texts, strict=True) for value in (id, text, *shared)],
            )
            return int(cursor.rowcount)
        with connection.wrap_database_errors, cursor.copy(f"COPY jobs_job ({', '.join(names)}) FROM STDIN") as copy:
            for id, text in zip(ids, texts, strict=True):
                copy.write_row((id, text, *shared))
    return len(ids)
