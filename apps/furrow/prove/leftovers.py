"""What a handler may leave behind in its process and in its database session, and how a later run finds them.

``WAYS`` are what ``prove.leaves`` does before it ends. ``CHILDREN`` are what ``prove.forks`` does: each returns the child's
exit code.
"""

import gc
import io
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from decimal import ROUND_UP, getcontext
from typing import Any

import psutil
from django.db import connection, transaction
from django.utils import timezone, translation

from furrow import current_job
from furrow.prove import records
from furrow.tables import JOB

_left: list[Any] = []


def _sql(*statements: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return run


def _folder() -> None:
    os.chdir(tempfile.mkdtemp(dir=os.environ[records.FOLDER]))
    os.rmdir(os.getcwd())


def _signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})


def _alarm() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 5, 5)


def _language() -> None:
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C")
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    getcontext().prec, getcontext().rounding = 3, ROUND_UP


def _environment() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    os.environ.pop("HOME", None)
    os.environ["PROVE_LEFT"] = "1"


def _limits() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _interpreter() -> None:
    logging.disable(logging.CRITICAL)
    logging.getLogger("furrow").setLevel(logging.CRITICAL)
    logging.root.handlers.clear()
    warnings.simplefilter("error")
    socket.setdefaulttimeout(0.001)
    sys.setrecursionlimit(400)
    sys.path.clear()
    sys.stdout = sys.stderr = io.StringIO()
    gc.disable()


def _open_transaction() -> None:
    transaction.set_autocommit(False)
    write_row()


def write_row() -> None:
    """Leave a trace in the database."""
    assert current_job.id is not None
    id = current_job.id if connection.features.has_native_uuid_field else current_job.id.hex
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO prove_write (job, attempt, at) VALUES (%s, %s, %s)", [id, current_job.attempt, time.time()])


def _wait_for(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _forked(leave: Callable[[], Any]) -> Callable[[], int]:
    def fork() -> int:
        child = os.fork()
        if child:
            return _wait_for(child)
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what it says goes to the log of this job
        result: int = leave()
        return result

    return fork


def _raise(error: BaseException) -> Any:
    raise error


def _multiprocessing() -> int:
    child: Any = multiprocessing.get_context("fork").Process(target=_look_and_end)
    child.start()
    child.join()
    return int(child.exitcode)


def _look_and_end() -> None:
    """With a connection of its own."""
    session()


#: By what is left.
WAYS: dict[str, Callable[[], object]] = {
    "a folder that is gone": _folder,
    "a umask": lambda: _left.append(os.umask(0)),
    "signal handlers": _signals,
    "an alarm": _alarm,
    "a language": _language,
    "an environment": _environment,
    "limits": _limits,
    "an interpreter": _interpreter,
    "descriptors": lambda: _left.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(50)),
    "a thread": lambda: threading.Thread(target=threading.Event().wait, daemon=True).start(),
    "a child": lambda: _left.append(subprocess.Popen(["sleep", "20"])),
    "an open transaction": _open_transaction,
}
if connection.vendor == "postgresql":
    WAYS |= {
        "session settings": _sql("SET search_path = pg_catalog", "SET TIME ZONE 'Asia/Tokyo'", "SET statement_timeout = 1"),
        "a read-only session": _sql("SELECT set_config('default_transaction_read_only', 'on', false)"),
        "an advisory lock": _sql("SELECT pg_try_advisory_lock_shared(4711)"),
        "a temporary table": _sql(f"CREATE TEMPORARY TABLE {JOB} (id int)", "LISTEN prove"),
    }
else:
    WAYS |= {"session settings": _sql("PRAGMA foreign_keys = off", "PRAGMA query_only = on")}

#: By how the child leaves the handler.
CHILDREN: dict[str, Callable[[], int]] = {
    "returns": _forked(lambda: 0),
    "raises": _forked(lambda: _raise(ValueError("in the child"))),
    "exits": _forked(lambda: sys.exit(7)),
    "is gone": _forked(lambda: os._exit(9)),
    "multiprocessing": _multiprocessing,
}


def look() -> dict[str, Any]:
    """How this run finds its process and its database session, by what can be left there."""
    return {**session(), **process()}


def process() -> dict[str, Any]:
    """The process. What is said to stay for a while is told by whether it is in bounds."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "folder": _where(),
        "umask": umask,
        "signal handlers": {
            number.name: _name(signal.getsignal(number))
            for number in sorted(signal.valid_signals())
            if isinstance(number, signal.Signals)
        },
        "blocked signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "language": [locale.setlocale(locale.LC_ALL), translation.get_language(), timezone.get_current_timezone_name()],
        "decimals": [getcontext().prec, getcontext().rounding],
        "time zone": time.tzname,
        "environment": {name: os.environ.get(name) for name in ("TZ", "HOME", "PATH", "PROVE_LEFT")},
        "limits": [resource.getrlimit(limit) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_AS)],
        "logging": [logging.root.manager.disable, logging.getLogger("furrow").level, [_name(h) for h in logging.root.handlers]],
        "interpreter": [
            len(warnings.filters),
            socket.getdefaulttimeout(),
            sys.getrecursionlimit(),
            bool(sys.path),
            gc.isenabled(),
        ],
        "streams": [_name(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "descriptors in bounds": psutil.Process().num_fds() < soft * 3 // 4,
        "threads in bounds": threading.active_count() < 100,
    }


def session() -> dict[str, Any]:
    """The database session."""
    in_transaction = connection.in_atomic_block or not connection.get_autocommit() or _is_open()
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            return {
                "transaction": in_transaction,
                "session": [_pragma(cursor, name) for name in ("foreign_keys", "query_only")],
            }
        cursor.execute(
            "SELECT (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_settings "
            "WHERE source = 'session' AND name <> 'application_name'), "
            "current_user, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), "
            "(SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()), "
            "(SELECT count(*) FROM pg_listening_channels())"
        )
        names = ("session", "role", "advisory locks", "temporary tables", "channels")
        return {"transaction": in_transaction, **dict(zip(names, cursor.fetchone(), strict=True))}


def _where() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _is_open() -> bool:
    raw: Any = connection.connection
    if raw is None:
        return False
    return bool(raw.pgconn.transaction_status) if connection.vendor == "postgresql" else bool(raw.in_transaction)


def _pragma(cursor: Any, name: str) -> Any:
    cursor.execute(f"PRAGMA {name}")
    return cursor.fetchone()[0]


def _name(value: Any) -> str:
    return getattr(value, "__qualname__", None) or (str(value) if isinstance(value, int) else type(value).__name__)
