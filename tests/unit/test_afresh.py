"""Whatever a handler changed in its process is put back, or the process is replaced."""

import asyncio
import contextlib
import decimal
import faulthandler
import gc
import locale
import logging
import logging.config
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone, translation
from furrow.worker import channel, stacks
from furrow.worker.child import afresh
from furrow.worker.child.afresh import Afresh
from furrow.worker.child.db_sessions import lasts


@pytest.fixture(autouse=True)
def _timer_of_the_test_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is put off with all others. What is looked at seldom is looked at each time."""
    monkeypatch.setattr(afresh, "CLOSELY", 0.0)
    channel.open_channels()
    stacks.open_file()
    seconds, interval = signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, seconds, interval)


def _alarm_left() -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


@pytest.mark.parametrize(
    ("read", "change"),
    [
        pytest.param(os.getcwd, lambda: os.chdir("/"), id="working directory"),
        pytest.param(lambda: os.umask(os.umask(0o22) or 0o22), lambda: os.umask(0), id="umask"),
        pytest.param(
            lambda: signal.getsignal(signal.SIGALRM),
            lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN),
            id="a signal's handler",
        ),
        pytest.param(
            lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}),
            id="signal mask",
        ),
        pytest.param(_alarm_left, lambda: signal.alarm(500), id="alarm"),
        pytest.param(lambda: locale.setlocale(locale.LC_ALL), lambda: locale.setlocale(locale.LC_ALL, "C"), id="locale"),
        pytest.param(lambda: dict(os.environ), lambda: os.environ.update(LEFT="here"), id="environment"),
        pytest.param(lambda: id(os.environ), lambda: setattr(os, "environ", dict(os.environ)), id="another environment"),
        pytest.param(lambda: time.tzname, lambda: (os.environ.update(TZ="Asia/Tokyo"), time.tzset()), id="TZ"),
        pytest.param(
            lambda: resource.getrlimit(resource.RLIMIT_CORE),
            lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])),
            id="soft limit",
        ),
        pytest.param(lambda: list(sys.path), lambda: sys.path.insert(0, "/left"), id="import path"),
        pytest.param(lambda: list(warnings.filters), lambda: warnings.simplefilter("ignore"), id="warning filters"),
        pytest.param(lambda: logging.root.level, lambda: logging.root.setLevel(logging.CRITICAL), id="root's level"),
        pytest.param(
            lambda: logging.getLogger("django").level,
            lambda: logging.getLogger("django").setLevel(logging.CRITICAL),
            id="a logger's level",
        ),
        pytest.param(
            lambda: (logging.root.manager.loggerDict.get("apps.made") and logging.getLogger("apps.made").level) or 0,
            lambda: logging.getLogger("apps.made").setLevel(logging.CRITICAL),
            id="a new logger's level",
        ),
        pytest.param(lambda: logging.root.manager.disable, lambda: logging.disable(logging.ERROR), id="logging.disable"),
        pytest.param(
            lambda: list(logging.root.handlers), lambda: logging.root.addHandler(logging.NullHandler()), id="log handlers"
        ),
        pytest.param(
            lambda: time.localtime(0).tm_zone,
            lambda: (os.environ.update(TZ="Asia/Tokyo"), time.tzset(), os.environ.pop("TZ")),
            id="a TZ that is gone",
        ),
        pytest.param(
            lambda: [logging.getLogger(name).disabled for name in ("django", "furrow")],
            lambda: logging.config.dictConfig({"version": 1}),
            id="disabled loggers",
        ),
        pytest.param(
            lambda: logging.getLogger("django").propagate,
            lambda: setattr(logging.getLogger("django"), "propagate", not logging.getLogger("django").propagate),
            id="a logger's parents",
        ),
        pytest.param(sys.get_int_max_str_digits, lambda: sys.set_int_max_str_digits(0), id="limit of digits"),
        pytest.param(
            lambda: multiprocessing.get_start_method(allow_none=True),
            lambda: multiprocessing.set_start_method("spawn"),
            id="start method",
        ),
        pytest.param(
            lambda: signal.getitimer(signal.ITIMER_PROF), lambda: signal.setitimer(signal.ITIMER_PROF, 500), id="timer of CPU"
        ),
        pytest.param(sys.getrecursionlimit, lambda: sys.setrecursionlimit(5_000), id="recursion limit"),
        pytest.param(socket.getdefaulttimeout, lambda: socket.setdefaulttimeout(3), id="socket timeout"),
        pytest.param(lambda: sys.stderr, lambda: setattr(sys, "stderr", None), id="stderr"),
        pytest.param(gc.isenabled, gc.disable, id="garbage collector"),
        pytest.param(lambda: threading.stack_size(0), lambda: threading.stack_size(1 << 20), id="stack of new threads"),
        pytest.param(
            asyncio._get_running_loop, lambda: asyncio._set_running_loop(asyncio.new_event_loop()), id="running event loop"
        ),
        pytest.param(
            lambda: os.sched_getaffinity(0), lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}), id="processors"
        ),
    ],
)
def test_what_a_handler_changed_is_put_back(read: Callable[[], Any], change: Callable[[], Any]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    process, before = Afresh(), read()
    change()
    assert process.restore() == ""
    assert read() == before


def test_language_zone_and_decimal_context_are_of_one_run() -> None:
    def run() -> None:
        translation.activate("de")
        timezone.activate("Asia/Tokyo")
        decimal.getcontext().prec = 3

    process = Afresh()
    before = translation.get_language(), timezone.get_current_timezone_name(), decimal.getcontext().prec
    process.context().run(run)
    now = process.context().run(
        lambda: (translation.get_language(), timezone.get_current_timezone_name(), decimal.getcontext().prec)
    )
    assert now == before


def test_a_standard_descriptor_that_is_another_is_a_reason_to_replace_it() -> None:
    process, kept = Afresh(), os.dup(0)
    try:
        os.close(0)
        assert "standard descriptors" in process.restore()
        with socket.socket() as taken:
            assert taken.fileno() == 0
            assert "standard descriptors" in process.restore()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert process.restore() == ""


def test_no_watchdog_outlasts_its_run() -> None:
    with tempfile.TemporaryFile() as said:
        process = Afresh()
        faulthandler.dump_traceback_later(0.05, file=said)
        assert process.restore() == ""
        threading.Event().wait(0.2)
        assert said.seek(0, os.SEEK_END) == 0


def test_too_many_threads_and_descriptors_are_a_reason_to_replace_it(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Afresh()
    monkeypatch.setattr(afresh, "MOST_LEFT", threading.active_count())
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert "threads were left" in process.restore()
    end.set()
    thread.join()
    with contextlib.ExitStack() as opened:
        for _ in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 if _few_descriptors() else 0):
            opened.callback(os.close, os.dup(0))
        assert ("descriptors are open" in process.restore()) is _few_descriptors()
    assert process.restore() == ""


def test_children_that_nobody_waits_for_are_a_reason_to_replace_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afresh, "MOST_LEFT", 1)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # other tests leave some
    process = Afresh()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert process.restore() == ""
    assert "nobody waits for" in process.restore()
    os.waitpid(pid, 0)
    assert process.restore() == ""


def test_what_cannot_be_put_back_is_a_reason_to_replace_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise RecursionError("the recursion limit is too low")

    monkeypatch.setattr(afresh, "_PARTS", [("recursion limit", time.monotonic, fails)])
    monkeypatch.setattr(afresh, "_glance", lambda: (time.monotonic(),))
    assert "recursion limit cannot be put back" in Afresh().restore()


def _few_descriptors() -> bool:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 4_096


@pytest.mark.parametrize(
    "statement",
    [
        "SET statement_timeout = 5",
        " /* why */ set search_path to x",
        "RESET ALL",
        "SELECT set_config('a', 'b', false)",
        "SELECT pg_advisory_lock(7)",
        "select pg_try_advisory_lock_shared(7)",
        "CREATE TEMP TABLE t (n int)",
        "CREATE TABLE pg_temp.t (n int)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SELECT setseed(0.5)",
        "LISTEN news",
        "PREPARE p AS SELECT 1",
        "DO $$ BEGIN END $$",
        "SELECT 1; SET x = 1",
        "SET LOCAL x = 1; SET y = 1",
        "PRAGMA foreign_keys = OFF",
        "ATTACH 'f' AS f",
    ],
)
def test_a_statement_that_may_outlast_its_transaction_is_known(statement: str) -> None:
    assert lasts(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "(SELECT 1) UNION (SELECT 2)",
        'UPDATE "auth_user" SET "name" = %s',
        "SET LOCAL lock_timeout = 5",
        "set transaction read only",
        "SELECT pg_advisory_xact_lock(7)",
        "SAVEPOINT s",
        "WITH x AS (SELECT 1) SELECT * FROM x;",
        "",
    ],
)
def test_one_that_does_not_keeps_the_connection(statement: str) -> None:
    assert not lasts(statement)
