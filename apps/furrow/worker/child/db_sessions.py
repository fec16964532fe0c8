"""In a pool process: database connections are kept from run to run, unless a run changed its session.

Every statement that goes through Django is looked at: one that may set something which outlives its transaction (``SET``, an
advisory lock, a temporary table, ``PRAGMA``) marks its connection, which is closed when the run has ended. That costs a run
that sets nothing less than a microsecond a statement, and one that does a new connection. What a run leaves on Django's side,
wrappers of ``execute_wrapper`` and other settings in ``DATABASES`` (another tenant's database), goes with the connection too.
"""

import copy
import functools
import logging
import re
import threading
from typing import Any

from asgiref.sync import SyncToAsync
from django.db import connections
from django.db.backends.signals import connection_created

logger = logging.getLogger(__name__)

#: The thread in which the queries of async handlers are done.
_of_async_code: Any = SyncToAsync.single_thread_executor
#: ``links``: connections that were made in this thread. Asking Django for them takes ten times as long.
_of_thread = threading.local()
#: The settings of each database, as they were when this process began.
_settings: dict[str, dict[str, Any]] = {}
#: Seconds.
PATIENCE = 5.0
#: The first word of statements that leave nothing behind.
_HARMLESS = re.compile(
    "select|insert|update|delete|merge|with|values|table|copy|savepoint|release|rollback|begin|start|commit|end|abort|declare|"
    "fetch|close|lock|truncate|analyze|explain|notify|create|alter|drop|comment|grant|revoke|vacuum|reindex|replace"
)
_FIRST_WORD = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(\w+)(?:\s+(local|transaction|constraints)\b)?", re.DOTALL | re.IGNORECASE
)
#: Characters of statements whose answer is kept: those of bulk inserts are long, and seldom the same.
_LONGEST_KEPT = 4_000
_LASTING = re.compile(
    r"set_config|setseed|advisory_(?:un)?lock|\b(?:pg_)?temp(?:orary)?\b|\bwith\s+hold\b|;\s*\S", re.IGNORECASE
)


def watch() -> None:
    """In a new pool process: look at all statements from now on."""
    connection_created.connect(_on_connected, dispatch_uid="furrow-sessions")
    _settings.update(copy.deepcopy(dict(connections.settings)))
    for link in connections.all(initialized_only=True):
        _on_connected(None, link)


def end_of_run(*, failed: bool) -> list[str]:
    """Keep the connections that are as they were; the others are closed, also after an error, which may have left them
    unusable. Returns the aliases of those that had an open transaction.

    Raises:
        TimeoutError: the thread of async handlers' queries is busy still.
    """
    changed = _put_back_settings()
    left_open = _end_here(failed, changed)
    if _of_async_code._threads:
        left_open += _of_async_code.submit(_end_here, failed, changed).result(PATIENCE)
    return left_open


def _put_back_settings() -> bool:
    """Whether they were others."""
    changed = [alias for alias, first in _settings.items() if connections.settings[alias] != first]
    for alias in changed:
        connections.settings[alias].clear()
        connections.settings[alias].update(copy.deepcopy(_settings[alias]))
    return bool(changed)


def _end_here(failed: bool, changed: bool) -> list[str]:
    """In the thread whose connections they are. ``changed``: they may be to other databases."""
    left_open = []
    links: list[Any] = getattr(_of_thread, "links", [])
    for link in links[:]:
        open_transaction = not failed and _in_transaction(link)
        if open_transaction:
            left_open.append(link.alias)
        marked = link.__dict__.pop("furrow_marked", False) or link.execute_wrappers != link.furrow_wrappers
        if failed or changed or open_transaction or marked or link.in_atomic_block or _is_lost(link):
            links.remove(link)
            link.close()
            alias = link.alias
            if getattr(connections._connections, alias, None) is link:  # type: ignore[attr-defined]
                del connections[alias]
        else:
            link.close_if_unusable_or_obsolete()
    return left_open


def lasts(statement: str) -> bool:
    """Whether it may change something of the session."""
    return _lasts(statement) if len(statement) <= _LONGEST_KEPT else _lasts.__wrapped__(statement)


@functools.lru_cache(maxsize=1024)
def _lasts(statement: str) -> bool:
    first = _FIRST_WORD.match(statement)
    if first is None:
        return False
    word = first[1].lower()
    if word == "set" and first[2]:
        return ";" in statement
    return not _HARMLESS.fullmatch(word) or bool(_LASTING.search(statement))


def _on_connected(sender: Any, connection: Any, **kwargs: Any) -> None:
    links = _of_thread.__dict__.setdefault("links", [])
    if connection not in links:
        links.append(connection)
    if _look not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _look)  # Django takes the last one for the one that it put there last
        connection.furrow_wrappers = list(connection.execute_wrappers)


def _look(execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if not isinstance(sql, str) or lasts(sql):
        context["connection"].furrow_marked = True
    return execute(sql, params, many, context)


def _in_transaction(link: Any) -> bool:
    raw = link.connection
    if raw is None:
        return False
    if link.vendor == "sqlite":
        return bool(raw.in_transaction)
    return not raw.closed and int(raw.pgconn.transaction_status) != 0  # of a lost connection libpq says "unknown"


def _is_lost(link: Any) -> bool:
    return link.vendor == "postgresql" and link.connection is not None and bool(link.connection.closed)
