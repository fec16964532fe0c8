"""Each run finds its pool process as the first one did: what handlers changed is put back, and what cannot be is replaced.

``Afresh`` remembers the process as it was at its first turn. After each run it takes a glance, which costs some microseconds,
and only when something differs it looks part by part, and puts back. What Python code changes by an audited call alone (limits,
the folder) is not looked at without one: an audit hook tells. Context variables need none of that (language, time zone, decimal
context): each run has a copy.
"""

import _locale
import _signal  # type: ignore[import-not-found]  # without the enums: a tenth of the time
import asyncio
import decimal
import faulthandler
import functools
import gc
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from furrow.plural import counted
from furrow.worker import channel, stacks

#: Threads that handlers may leave behind before their process is replaced; and runs that may end while there is a child that
#: has ended and that nobody waits for.
MOST_LEFT = 50
#: Seconds between two looks at what takes more system calls: after each run that lasts as long, not after each of the shortest.
CLOSELY = 0.01
_SIGNALS = [number for number in range(1, signal.SIGRTMIN) if number not in (signal.SIGKILL, signal.SIGSTOP)]
_SIG_BLOCK, _SIG_SETMASK = int(signal.SIG_BLOCK), int(signal.SIG_SETMASK)
_LIMITS = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
_MARK: Any = "furrow"
_ENVIRONMENT = os.environ
#: Audited calls that change what a glance does not see; and those that start children.
_CHANGES = frozenset({"os.chdir", "os.putenv", "os.unsetenv", "resource.setrlimit", "resource.prlimit"})
_STARTS = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
_MOST_DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
#: Those of them that were not called: of the former since the last look, of the latter since this process began.
_uncalled = dict.fromkeys(_CHANGES | _STARTS)
_listens = False


class Afresh:
    """See the module."""

    def __init__(self) -> None:
        _listen()
        self._left_children, self._uncalled = 0, len(_uncalled)
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._stack_size = threading.stack_size()
        threading.stack_size(self._stack_size)  # asking is setting, too
        self._context = _without_decimals()
        self._looked_closely, self._seen_closely = 0.0, _second_glance()
        self._seen = tuple(list(one) if isinstance(one, list) else one for one in _glance())
        #: The parts that are compared: how each is read, how it is put back, and what it was.
        self._parts: list[tuple[str, Callable[[], Any], Callable[[Any], object], Any]] = [
            (name, read, put_back, read()) for name, read, put_back in _PARTS
        ]
        self._logs = _Loggers()

    def context(self) -> Context:
        """For one run."""
        return self._context.copy()

    def restore(self) -> str:
        """Put back what differs; why this process must be replaced, or ``""``."""
        _signal.alarm(0)  # ITIMER_REAL, whoever set it
        faulthandler.cancel_dump_traceback_later()  # which may end this process
        os.umask(self._umask)
        threading.stack_size(self._stack_size)
        closely = (now := time.monotonic()) - self._looked_closely >= CLOSELY
        differs = len(_uncalled) != self._uncalled or _glance() != self._seen
        if (differs or (closely and _second_glance() != self._seen_closely)) and (reason := self._put_back()):
            return reason
        self._logs.restore(closely=closely)
        if not closely:
            return ""
        self._looked_closely = now
        return self._worn_out()

    def _put_back(self) -> str:
        """Part by part; why one cannot be put back, or ``""``."""
        for timer in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):  # whose signals end a process
            signal.setitimer(timer, 0)
        for name, read, put_back, first in self._parts:
            try:
                if read() != first:
                    put_back(first)
                    if name in _ONE_WAY and read() != first:
                        return f"its {name} cannot be put back"
            except Exception as error:
                return f"its {name} cannot be put back: {error}"
        _uncalled.update(dict.fromkeys(_CHANGES))
        self._uncalled = len(_uncalled)
        return ""

    def _worn_out(self) -> str:
        """Threads, children and descriptors that handlers leave behind belong to somebody: they end with the process, when they
        are many."""
        if threading.active_count() > MOST_LEFT:
            return f"{counted(threading.active_count(), 'thread')} were left in it"
        if not _uncalled.keys() >= _STARTS and _has_zombie():
            self._left_children += 1
            if self._left_children > MOST_LEFT:
                return "it has children that have ended and that nobody waits for"
        try:
            lowest = os.dup(channel.reports.fileno())
        except OSError as error:
            return f"it has no descriptor left: {error}"
        os.close(lowest)
        return f"{lowest} descriptors are open in it" if lowest > _MOST_DESCRIPTORS else ""


class _Loggers:
    """Levels of loggers, and whether they are disabled, as ``dictConfig`` does with each that it does not name. Python empties
    the root logger's cache whenever a level is set: a mark in there tells. For the rest all are looked at, but seldom."""

    def __init__(self) -> None:
        self._first = {logger: _says(logger) for logger in _loggers()}
        self._disabled = logging.root.manager.disable
        self._cache[_MARK] = True

    @property
    def _cache(self) -> dict[Any, Any]:
        return logging.root._cache  # type: ignore[attr-defined,no-any-return]

    def restore(self, *, closely: bool) -> None:
        """Put back what differs."""
        if closely or _MARK not in self._cache:
            if logging.root.manager.disable != self._disabled:
                logging.disable(self._disabled)
            for logger in _loggers():  # one that a handler has made had no level before
                if (now := _says(logger)) != (first := self._first.get(logger, (logging.NOTSET, False, now[2]))):
                    logger.disabled, logger.propagate = first[1:]
                    logger.setLevel(first[0])
            self._cache[_MARK] = True


def _listen() -> None:
    """Hooks are for ever: one a process, and its children have it too."""
    global _listens
    _uncalled.update(dict.fromkeys(_CHANGES))
    if not _listens:
        _listens = True
        sys.addaudithook(_uncalled.pop)  # with the event and its arguments; a function of ours would take four times as long


def _without_decimals() -> Context:
    """This one, but for the decimal context, which would be shared: whoever uses decimals in a copy has a new one."""
    context = Context()
    for variable, value in copy_context().items():
        if not isinstance(value, decimal.Context):
            context.run(variable.set, value)
    return context


def _has_zombie() -> bool:
    """It is not reaped: who started it may yet ask how it ended."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _loggers() -> list[logging.Logger]:
    named = logging.root.manager.loggerDict.values()
    return [logging.root, *(one for one in named if isinstance(one, logging.Logger))]


def _says(logger: logging.Logger) -> tuple[int, bool, bool]:
    return (logger.level, logger.disabled, logger.propagate)


def _put_back_signals(first: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, first, strict=True):
        if _signal.getsignal(number) is not handler and handler is not None:
            signal.signal(number, handler)
    stacks.listen()  # C code's, which Python does not know of


def _put_back_limits(first: list[tuple[int, int]]) -> None:
    for limit, value in zip(_LIMITS, first, strict=True):
        if resource.getrlimit(limit) != value:
            resource.setrlimit(limit, value)


def _put_back_filters(first: list[Any]) -> None:
    warnings.filters[:] = first  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _put_back_environment(first: tuple[int, dict[str, str]]) -> None:
    os.environ = _ENVIRONMENT  # noqa: B003 - the object that was there
    os.environ.clear()
    os.environ.update(first[1])
    time.tzset()


def _put_back_streams(first: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = first


def _put_back_collector(first: tuple[bool, tuple[int, int, int]]) -> None:
    (gc.enable if first[0] else gc.disable)()
    gc.set_threshold(*first[1])


def _put_back_path(first: list[str]) -> None:
    sys.path[:] = first


def _put_back_start_method(first: str | None) -> None:
    multiprocessing.set_start_method(first, force=True)


def _put_back_root(first: list[logging.Handler]) -> None:
    logging.root.handlers[:] = first


def _standard_descriptors() -> list[tuple[int, int] | None]:
    """What 0, 1 and 2 lead to. Where a handler has closed one, the next connection gets its number, and what is printed."""
    found: list[tuple[int, int] | None] = []
    for number in range(3):
        try:
            status = os.fstat(number)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return found


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # a handler has deleted the folder that it was in
        return ""


_PARTS: list[tuple[str, Callable[[], Any], Callable[[Any], object]]] = [
    ("working directory", _folder, os.chdir),
    ("environment", lambda: (id(os.environ), dict(os.environ)), _put_back_environment),
    ("signal handlers", lambda: list(map(_signal.getsignal, _SIGNALS)), _put_back_signals),
    ("signal mask", lambda: _signal.pthread_sigmask(_SIG_BLOCK, ()), lambda mask: signal.pthread_sigmask(_SIG_SETMASK, mask)),
    ("limits", lambda: [resource.getrlimit(limit) for limit in _LIMITS], _put_back_limits),
    ("locale", lambda: _locale.setlocale(locale.LC_ALL, None), lambda name: locale.setlocale(locale.LC_ALL, name)),
    ("import path", lambda: list(sys.path), _put_back_path),
    ("warning filters", lambda: list(warnings.filters), _put_back_filters),
    ("log handlers", lambda: list(logging.root.handlers), _put_back_root),
    ("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    ("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    ("standard streams", lambda: (sys.stdin, sys.stdout, sys.stderr), _put_back_streams),
    ("garbage collector", lambda: (gc.isenabled(), gc.get_threshold()), _put_back_collector),
    ("time zone", lambda: (time.tzname, time.timezone), lambda _: time.tzset()),
    ("limit of digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    ("start method", lambda: multiprocessing.get_start_method(allow_none=True), _put_back_start_method),
    ("trace function", sys.gettrace, sys.settrace),
    ("profile function", sys.getprofile, sys.setprofile),
    ("running event loop", asyncio._get_running_loop, asyncio._set_running_loop),
    ("standard descriptors", _standard_descriptors, lambda _: None),
    ("user and group", lambda: (os.geteuid(), os.getegid()), lambda _: None),
    ("nice value", lambda: os.getpriority(os.PRIO_PROCESS, 0), lambda nice: os.setpriority(os.PRIO_PROCESS, 0, nice)),
]
_cpus: Callable[[], Any] = int
_ONE_WAY = frozenset({"standard descriptors", "user and group", "nice value", "limits"})
if hasattr(os, "sched_getaffinity"):
    _cpus = functools.partial(os.sched_getaffinity, 0)
    _PARTS.append(("CPUs", _cpus, lambda cpus: os.sched_setaffinity(0, cpus)))


def _glance() -> tuple[Any, ...]:
    """The other parts at once, but those that audited calls change; lists as they are, not copied."""
    return (
        list(map(_signal.getsignal, _SIGNALS)),
        _signal.pthread_sigmask(_SIG_BLOCK, ()),
        _locale.setlocale(locale.LC_ALL, None),
        sys.path,
        warnings.filters,
        logging.root.handlers,
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        socket.getdefaulttimeout(),
        sys.stdin,
        sys.stdout,
        sys.stderr,
        gc.isenabled(),
        gc.get_threshold(),
        time.tzname,
        sys.get_int_max_str_digits(),
        sys.gettrace(),
        sys.getprofile(),
        id(os.environ),
        asyncio._get_running_loop(),
    )


def _second_glance() -> tuple[Any, ...]:
    """The parts that take longest to tell of, and that seldom change."""
    return (
        os.geteuid(),
        os.getegid(),
        os.getpriority(os.PRIO_PROCESS, 0),
        _cpus(),
        signal.getitimer(signal.ITIMER_VIRTUAL),
        signal.getitimer(signal.ITIMER_PROF),
        multiprocessing.get_start_method(allow_none=True),
        _standard_descriptors(),
    )
