"""Troubles: unexpected errors of Furrow's processes, brought to people.

Whoever meets one calls :func:`note`, or :func:`failed` with the exception, in any thread; both only remember it. A process that
has a database connection at hand calls :func:`flush` now and then. The first page of the admin shows a trouble until it has not
occurred for some minutes; it takes nobody to clear it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import Error
from django.db.models import QuerySet
from django.db.models.functions import Now

from furrow import statements
from furrow.models import Trouble
from furrow.models.database import connection
from furrow.sanitize import clean

logger = logging.getLogger(__name__)

#: Seconds for which one is shown after it last occurred.
LASTS = 300.0
#: Characters of a text; names that are remembered between two flushes; seconds between two tracebacks of one name.
LONGEST, MOST, QUIET = 500, 100, 60.0


class Noted(NamedTuple):
    """A trouble since the last flush."""

    name: str
    text: str
    remedy: str
    times: int


_mutex = threading.Lock()
_noted: dict[str, Noted] = {}
_told_at: dict[str, float] = {}  # monotonic seconds of each name's last traceback in the log
#: Where it goes instead of into this process's memory: a pool process has its worker's main process write it.
carry: Callable[[str, str, str], None] | None = None


def note(name: str, text: str, remedy: str = "", times: int = 1) -> None:
    """Remember one. ``name`` is what failed, in words of the code (never of input: each is a row and a metric's label);
    ``text`` a sentence without its full stop."""
    name, text, remedy = clean(name)[:200], clean(text)[:LONGEST].rstrip(". "), clean(remedy)[:LONGEST]
    if carry is not None:
        carry(name, text, remedy)
        return
    with _mutex:
        before = _noted.get(name)
        if before or len(_noted) < MOST:
            _noted[name] = Noted(name, text, remedy, times + (before.times if before else 0))


def tell(name: str, text: str, remedy: str = "") -> None:
    """Note it, and say it in the log, once a minute."""
    if not _again(name):
        logger.error("%s. %s", text, remedy)
    note(name, text, remedy)


def failed(name: str, error: BaseException) -> None:
    """Something failed with an exception that nobody expected. The log has its traceback, once a minute."""
    said = f"{type(error).__name__}: {_words(error)}".rstrip(": ")
    if _again(name):
        logger.debug("The %s failed again: %s", name, said)
    else:
        logger.error("The %s failed.", name, exc_info=error)
    note(name, f"The {name} fails: {said}", "The log has the traceback.")


@contextmanager
def watched(name: str) -> Iterator[None]:
    """Do something of which an exception must not stop what comes after."""
    try:
        yield
    except Exception as error:
        failed(name, error)


def flush(link: Any) -> None:
    """Write down what was noted, through Django's connection or a copy of it, outside of a transaction.

    Raises:
        Error: the database is away; it is kept for the next time.
    """
    if not _noted:
        return
    with _mutex:
        noted = list(_noted.values())
        _noted.clear()
    try:
        statements.on(link).tell(link, sorted(noted), LASTS)
    except BaseException:
        for one in noted:
            with _mutex:
                now = _noted.get(one.name)
                _noted[one.name] = now._replace(times=now.times + one.times) if now else one
        raise


def flush_quietly(**signal: object) -> None:
    """The same on Django's connection, for a process whose work it is not: after a web request."""
    if _noted:
        try:
            flush(connection)
        except Error as error:
            logger.debug("troubles are kept for the next request: %s", error)


def current(seconds: float = LASTS) -> QuerySet[Trouble]:
    """Those that occurred within so many seconds, the newest first."""
    span = timedelta(seconds=seconds)
    return Trouble.objects.filter(last_at__gt=Now() - span, last_at__lt=Now() + span).order_by("-last_at")


def watch_threads() -> None:
    """From now on a thread of this process that an exception ends is told of."""
    inner = threading.excepthook

    def on_death(died: threading.ExceptHookArgs) -> None:
        if died.exc_value is not None and not isinstance(died.exc_value, SystemExit):
            failed(f"thread {died.thread.name if died.thread else ''}".strip(), died.exc_value)
        inner(died)

    threading.excepthook = on_death


def _again(name: str) -> bool:
    """The log has it already, of a minute ago or less."""
    now = time.monotonic()
    with _mutex:
        again = now - _told_at.get(name, -QUIET) < QUIET
        if not again and (name in _told_at or len(_told_at) < MOST):
            _told_at[name] = now
    return again


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "it cannot be told"


def _forget() -> None:
    global _mutex
    _mutex = threading.Lock()
    _noted.clear()
    _told_at.clear()


os.register_at_fork(after_in_child=_forget)
