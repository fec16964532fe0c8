"""Names of sessions, and their end."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.postgresql.pooled import is_pooled, keep_set

#: Characters of ``application_name`` that PostgreSQL keeps.
_MOST = 63


def name_session(connection: Connection, name: str, patience: float | None = None) -> None:
    """Append ``furrow-NAME`` to the session's ``application_name``; ``patience``: seconds to wait for a lock at most."""
    suffix = f"furrow-{name}"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('application_name', ltrim(left(current_setting('application_name'), %s) || ' ' || %s), false)",
            [_MOST - len(suffix) - 1, suffix],
        )
    if patience is not None:
        keep_set(connection, {"lock_timeout": f"{int(patience * 1000)}ms"})


def end_sessions(connection: Connection, names: Sequence[str]) -> int:
    """End the sessions of these names, in this database; how many there were. Behind a pooler only those within a transaction:
    the others are the pooler's again.

    Raises:
        django.db.Error: this role may not end sessions of theirs.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE substring(application_name FROM 'furrow-([0-9a-f]+)$') = ANY(%s)
                 AND datname = current_database() AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL OR NOT %s)""",
            [list(names), is_pooled(connection)],
        )
        (count,) = cursor.fetchone()
        return int(count)
