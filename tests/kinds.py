"""Kinds for the tests: small handlers that do one thing each. Loaded by ``FURROW_MODULES=tasks,tests.kinds``."""

import asyncio
import base64
import contextlib
import ctypes
import datetime as dt
import decimal
import enum
import logging
import multiprocessing
import os
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from asgiref.sync import sync_to_async
from celery import shared_task
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.storage import default_storage
from django.db import close_old_connections, connection, connections, transaction
from django.db.models import F

from apps.jobs.api import (
    Abort,
    ForeignKey,
    Retry,
    RetryPolicy,
    Secret,
    Snooze,
    SoftTimeout,
    Unique,
    UploadedPath,
    cancel,
    current_job,
    job,
)
from apps.jobs.worker import channel
from apps.locks.api import lock

logger = logging.getLogger(__name__)

QUICK = RetryPolicy(max_attempts=3, base=0.05, jitter=0)
ONCE = RetryPolicy(max_attempts=1)


class Colour(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@job
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@job
def noop(n: int = 0) -> None:
    """Do nothing."""


@job(retry=QUICK)
def fails(message: str = "as asked") -> None:
    """Raise, every time."""
    raise ValueError(message)


@job(
    retry=RetryPolicy(
        max_attempts=5, base=0.05, jitter=0, exceptions={KeyError: None, OSError: RetryPolicy(max_attempts=2, base=0.05)}
    )
)
def fails_with(error: Literal["KeyError", "OSError", "Abort", "Retry", "SystemExit"]) -> None:
    """Raise what is asked for."""
    raise {
        "KeyError": KeyError("k"),
        "OSError": OSError("o"),
        "Abort": Abort("no use"),
        "Retry": Retry("later", seconds=0.05),
        "SystemExit": SystemExit(3),
    }[error]


@job(retry=QUICK)
def succeeds_on(attempt: int) -> int:
    """Fail until this attempt."""
    if current_job.attempt < attempt:
        raise ValueError(f"not yet: attempt {current_job.attempt}")
    return current_job.attempt


@job(retry=ONCE)
def snoozes(times: int) -> int:
    """Snooze so many times, then succeed."""
    if current_job.attempt <= times:
        raise Snooze(0.05, "not ready")
    return current_job.attempt


@job(retry=ONCE, soft_timeout=0.3)
def soft_sleeper(seconds: float, swallow: bool = False) -> str:
    """Sleep; the soft timeout is 0.3 s."""
    try:
        time.sleep(seconds)
    except Exception:
        return "swallowed"
    except SoftTimeout:
        if swallow:
            return "cleaned up"
        raise
    return "slept"


@job(retry=ONCE, timeout=1.0)
def hard_sleeper(seconds: float) -> str:
    """Sleep; killed after a second."""
    time.sleep(seconds)
    return "slept"


@job(transactional=True, retry=QUICK)
def writes(
    name: str, then: Literal["returns", "raises", "dies", "dies after the commit", "waits"] = "returns", mark: str = ""
) -> None:
    """Write a row in the job's own transaction; on the first attempt something may happen to it after that."""
    Group.objects.create(name=name)
    if mark:
        append(mark, "began")
    if current_job.attempt > 1:
        return
    if then == "raises":
        raise ValueError("after it wrote")
    if then == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if then == "dies after the commit":
        transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    if then == "waits":
        time.sleep(1.5)


@job
def marks(mark: str, n: int) -> int:
    """Say in a file that it began, and return the number."""
    append(mark, "began")
    return n


@job(retry=RetryPolicy(max_attempts=9, base=0.05, jitter=0))
def keyed(key: str | None, n: int, mark: str, seconds: float = 0.0, fails_until: int = 0) -> int:
    """Say in a file when it began and ended; fail until this attempt."""
    append(mark, f"began {key} {n}")
    time.sleep(seconds)
    if current_job.attempt < fails_until:
        append(mark, f"failed {key} {n}")
        raise ValueError("not yet")
    append(mark, f"ended {key} {n}")
    return n


@job
def sleeps(seconds: float, mark: str = "", until: str = "") -> str:
    """Sleep, then until somebody makes a file of this name if one is given; and say in a file when it began."""
    if mark:
        append(mark, "began")
    time.sleep(seconds)
    while until and not os.path.exists(until):
        time.sleep(0.02)
    if mark:
        append(mark, "ended")
    return "slept"


@job(retry=QUICK)
def kills_itself(with_signal: int = int(signal.SIGKILL), times: int = 99) -> str:
    """Die by a signal."""
    if current_job.attempt <= times:
        os.kill(os.getpid(), with_signal)
    return "survived"


@job(retry=ONCE)
def stubborn(seconds: float, how: Literal["checks", "sleeps", "deaf"], mark: str = "") -> str:
    """Take this long: asking whether to stop, asleep in Python, or deaf to everything but SIGKILL."""
    if how == "deaf":
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if mark:
        append(mark, "began")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if how == "checks":
            current_job.check()
        time.sleep(0.02)
    return "done"


@job
def talks(lines: int = 3, steps: int = 4) -> None:
    """Log and report progress."""
    for number in range(lines):
        current_job.log("line %d", number)
    logger.warning("through logging")
    for step in range(steps + 1):
        current_job.progress(step / steps, f"step {step}")


@job(retry=ONCE)
def floods(lines: int, width: int, for_seconds: float = 0.0) -> None:
    """Log so many lines of so many characters, and report progress without a pause for so long."""
    for number in range(lines):
        current_job.log(f"{number} " + "x" * width)
    end = time.monotonic() + for_seconds
    while time.monotonic() < end:
        current_job.progress(0.5, "y" * 200)
    for _ in range(1_000):
        current_job.progress(1.0)


@job
def returns(what: Literal["large", "unserializable", "nan", "none", "nested", "nul", "date"]) -> Any:
    """Return something."""
    return {
        "large": "x" * 300_000,
        "unserializable": object(),
        "nan": float("nan"),
        "none": None,
        "nested": {"a": [1, {"b": None}]},
        "nul": "a\x00b",
        "date": {"day": dt.date(2026, 1, 2)},
    }[what]


@job
def typed(
    text: str,
    number: int = 7,
    ratio: float = 0.5,
    flag: bool = True,
    day: dt.date | None = None,
    moment: dt.datetime | None = None,
    price: decimal.Decimal = decimal.Decimal("1.50"),
    key: uuid.UUID | None = None,
    level: Literal["low", "high"] = "low",
    colour: Colour = Colour.RED,
    items: list[int] | None = None,
    options: dict[str, int] | None = None,
) -> dict[str, Any]:
    """One argument of every type.

    Args:
        text: any text.
        number: a whole number.
    """
    assert isinstance(colour, Colour)
    assert moment is None or moment.tzinfo is not None
    return {"text": text, "price": price, "day": day, "moment": moment, "key": key, "colour": colour, "items": items}


@job
async def asynchronous(seconds: float = 0.0) -> str:
    """An async handler."""
    await asyncio.sleep(seconds)
    return "awaited"


def append(path: str, line: str) -> None:
    """Append a line to a file, whole or not at all."""
    with Path(path).open("a") as file:
        file.write(f"{current_job.id} {current_job.attempt} {line}\n")
        file.flush()


@shared_task
def ordinary(n: int, seconds: float = 0.0, mark: str = "") -> int:
    """Not a job: a plain Celery task in the same project. It makes a file when it begins."""
    if mark:
        Path(mark).touch()
    time.sleep(seconds)
    return n * 2


@job(retry=QUICK)
def cancels_itself_and_fails() -> None:
    """Fail, after somebody has cancelled this job."""
    assert current_job.id is not None
    cancel(current_job.id)
    raise ValueError("too late")


@job(permission="auth.change_group")
def guarded(n: int = 0) -> int:
    """Only for people who may change groups."""
    return n


@job
def greets(
    user: Annotated[int, ForeignKey("auth.User")],
    letter: UploadedPath | None = None,
    group: Annotated[int, ForeignKey("auth.Group")] | None = None,
) -> str:
    """Name a user, and read a file that somebody uploaded.

    Args:
        user: whom.
        letter: what to read to them.
    """
    text = default_storage.open(letter).read().decode() if letter else "nothing"
    return f"{get_user_model().objects.get(pk=user).get_username()}: {text}"


@job(retry=QUICK)
def holds(name: str, mark: str, how: Literal["works", "deaf", "forgets", "dies"] = "works", seconds: float = 60.0) -> str:
    """Hold a lock and work, on the first attempt for so long, later for a moment."""
    guard = lock(name)
    held = guard.acquire()
    append(mark, f"holds {held.token}")
    if how == "forgets":
        return "forgot"
    if current_job.attempt > 1:
        guard.release()
        return "held it"
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "deaf":
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.02)
        except Exception:
            append(mark, "swallowed")
    guard.release()
    return "done"


def note(path: str, what: str, key: str = "") -> None:
    """Append a line of history that survives this process: when, what, of which key, job and attempt."""
    line = f"{time.monotonic_ns()} {what} {key or '-'} {current_job.id} {current_job.attempt}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)


def noted(path: str, key: str, seconds: float) -> None:
    """Begin, take this long, end."""
    note(path, "begin", key)
    time.sleep(seconds)
    note(path, "end", key)


@job(retry=QUICK, lock="account:{account}")
def locked(account: int, path: str, seconds: float = 0.0) -> None:
    """One at a time per account."""
    noted(path, f"account:{account}", seconds)


@job(retry=QUICK, concurrency=5, concurrency_key="tenant:{tenant}")
def crowded(tenant: str, path: str, seconds: float = 0.0) -> None:
    """Five at a time per tenant."""
    noted(path, f"tenant:{tenant}", seconds)


@job(retry=QUICK, rate="2/s")
def rated(path: str) -> None:
    """Two starts in any second."""
    note(path, "begin", "rated")


@job(retry=QUICK, ordered="customer:{customer}")
def in_order(customer: int, n: int, path: str, fails: int = 0) -> None:
    """One after the other per customer; fails so many times before it succeeds."""
    note(path, f"begin-{n}", f"customer:{customer}")
    if current_job.attempt <= fails:
        note(path, f"fail-{n}", f"customer:{customer}")
        raise ValueError(f"attempt {current_job.attempt} of {fails + 1}")
    note(path, f"end-{n}", f"customer:{customer}")


@job(retry=RetryPolicy(max_attempts=3, base=1.0, jitter=0), lock="key:{key}")
def keyed_and_locked(key: str, n: int, path: str, fails_until: int = 0) -> None:
    """One at a time per key, also by a lock; fail until this attempt."""
    note(path, "begin", f"key:{key}")
    note(path, "end", f"key:{key}")
    if current_job.attempt < fails_until:
        raise ValueError("not yet")


@job(unique="{account}")
def once(account: int, text: str = "") -> None:
    """One at a time in the table, per account."""


@job(unique=Unique("{account}", until="started", conflict="replace"))
def debounced(account: int, text: str = "") -> None:
    """Until it has begun another submit changes it."""


@job(fair="tenant:{tenant}")
def shared(tenant: str, n: int = 0) -> None:
    """Tenants take turns."""


@job(tags=["always"])
def tagged() -> None:
    """Has a tag of its own."""


@job
def keeps(word: Annotated[str, Secret], text: str = "") -> int:
    """Say how long the secret word is."""
    return len(word)


@job(retry=ONCE)
def chatters(lines: int, pause: float) -> None:
    """Log a line now and then, every other one a warning."""
    for number in range(lines):
        current_job.log(f"line {number} {'odd' if number % 2 else 'even'}", level=30 if number % 2 else 20)
        time.sleep(pause)


@job
def hostile(text: str, number: int = 0, token: Annotated[str, Secret] = "") -> str:
    """Say <b>hello</b>\x1b[31m \u202eback to front.

    <script>document.title = 'owned'</script> {{ 7 * 7 }} {% now "Y" %}

    Args:
        text: "quoted" <i>and</i> not.
        token: what nobody sees.
    """
    return text


@job(retry=QUICK)
def counts_under_a_lock(name: str, mark: str) -> None:
    """Count a row up under a lock, on the first attempt again and again, and without asking whether it is still held."""
    from tests.lock_rows import Row

    with lock(name) as held:
        append(mark, f"holds {held.token}")
        while True:
            Row.objects.fenced(held.token).filter(pk=name).update(value=F("value") + 1)
            if current_job.attempt > 1:
                return
            time.sleep(0.005)


@job(retry=QUICK)
def freezes_in_a_transaction(name: str, mark: str) -> None:
    """Count a row up; at the first attempt stop itself and its worker before that is committed."""
    from tests.lock_rows import Row

    with transaction.atomic():
        Row.objects.filter(pk=name).update(value=F("value") + 1)
        append(mark, "has written")
        if current_job.attempt == 1:
            os.kill(os.getppid(), signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)


@job(retry=ONCE, timeout=8.0)
def starts_children(
    how: Literal["fork", "multiprocessing", "spawn", "terminate", "shell"], then: str = "", mark: str = ""
) -> int | None:
    """Start a child process, wait for it, return its exit code; ``then``: what a forked child does with the handler's code."""
    if how == "shell":
        subprocess.run(f"(sleep 300 & echo $! >> {mark}); sleep 300 & echo $! >> {mark}", shell=True, check=True)
        os.spawnlp(os.P_NOWAIT, "setsid", "setsid", "sh", "-c", f"echo $$ >> {mark}; exec sleep 300")
        time.sleep(60)
    if how == "terminate":
        sleeper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
        sleeper.start()
        sleeper.terminate()
        sleeper.join()
        return sleeper.exitcode
    if how in ("multiprocessing", "spawn"):
        forked = how == "multiprocessing"
        context = multiprocessing.get_context("fork" if forked else how)
        child: Any = context.Process(target=_counts_users if forked else os.mkdir, args=(mark,))
        child.start()
        child.join()
        return child.exitcode
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if then == "exits":
        raise SystemExit(7)
    if then == "raises":
        raise ValueError("in the child")
    _counts_users(mark)
    return None


def _counts_users(mark: str) -> None:
    Path(mark).write_text(str(get_user_model().objects.count()))


@job(retry=ONCE, soft_timeout=0.3)
def yields(seconds: float, then: Literal["returns", "alarms", "own handler"] = "returns") -> Any:
    """Yield, sleep, and yield again; the soft timeout is 0.3 s."""
    if then == "alarms":
        signal.alarm(1)
    if then == "own handler":
        for number in (signal.SIGALRM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
    yield 1
    time.sleep(seconds)
    yield 2


@job(retry=ONCE, soft_timeout=0.3)
async def waits_for_its_soft_timeout(how: Literal["sleeps", "task group", "spins"]) -> str:
    """Async: say which exception ended the wait."""
    try:
        if how == "spins":
            while True:
                pass
        if how == "sleeps":
            await asyncio.sleep(60)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            await asyncio.sleep(60)
    except* SoftTimeout as error:
        await asyncio.sleep(0.01)
        return_value = type(error.exceptions[0]).__name__
    return return_value


@job(retry=ONCE, transactional=True)
def meddles_with_its_transaction(name: str, how: str) -> None:
    """Write, do something that may end the transaction, and write again."""
    Group.objects.create(name=name)
    if how == "close_old_connections":
        close_old_connections()
    elif how == "close":
        connection.close()
        connections.close_all()
    elif how == "set_rollback":
        transaction.set_rollback(True)
        return
    elif how.startswith("driver's "):
        getattr(connection.connection, how.removeprefix("driver's "))()
    else:
        with connection.cursor() as cursor:
            for statement in how.split("; "):
                cursor.execute(statement)
        if how == "ROLLBACK; BEGIN":
            return
    Group.objects.create(name=f"{name} after")


@job(retry=ONCE)
def sets_in_its_session(leave: Literal["settings", "an open transaction"]) -> None:
    """Change what outlasts a transaction in its database session."""
    _change_session(leave)


@job(retry=ONCE)
async def sets_in_its_session_async(leave: Literal["settings", "an open transaction"]) -> None:
    """The same from async code."""
    await sync_to_async(_change_session)(leave)


def _change_session(leave: str) -> None:
    with connection.cursor() as cursor:
        if leave == "an open transaction":
            cursor.execute("BEGIN")
            Group.objects.create(name="never committed")
        else:
            on_sqlite = connection.vendor == "sqlite"
            cursor.execute("PRAGMA cache_size = 77" if on_sqlite else "SET statement_timeout = '77s'")


@job(retry=ONCE)
def reads_its_session() -> str:
    """What the other two change."""
    return _read_session()


@job(retry=ONCE)
async def reads_its_session_async() -> str:
    """The same from async code."""
    return await sync_to_async(_read_session)()


def _read_session() -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size" if connection.vendor == "sqlite" else "SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@job(retry=ONCE)
def leaks(
    token: Annotated[str, Secret], pin: Annotated[int, Secret], how: Literal["result", "error", "snooze", "cause"]
) -> Any:
    """Tell its secrets wherever a handler can tell something."""
    told = f"token={token!r} pin={pin}"
    logging.getLogger("leaky").warning("logged %s", told)
    current_job.log("said %s", told)
    current_job.progress(0.5, told)
    if how == "error":
        raise ValueError(told)
    if how == "snooze":
        raise Snooze(1, told)
    if how == "cause":
        raise KeyError(pin) from ValueError(told)
    return {token: [pin, token, {"deep": f"https://u:{quote(token)}@host"}], "pin": pin + 1}


@job(retry=ONCE)
def leaves(what: Literal["environment", "descriptors", "exceptions"], until: str = "", mark: str = "") -> str:
    """Leave something behind that a later job meets: at once, or by a thread when there is a file ``until``."""

    def later() -> None:
        while not os.path.exists(until):
            time.sleep(0.01)
        if what == "descriptors":
            with contextlib.suppress(OSError):
                while True:
                    os.dup(1)
        os.rename(until, mark)
        while what == "exceptions":
            time.sleep(0.002)
            main = ctypes.c_ulong(threading.main_thread().ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(ValueError))

    if what == "environment":
        os.environ = {}  # type: ignore[assignment]  # noqa: B003 - as people do
    else:
        threading.Thread(target=later, daemon=True).start()
    return "left"


@job(retry=ONCE)
def says_to_its_worker(packets: list[str]) -> int:
    """Send these bytes (base64) to the worker's main process, as code does that writes into a descriptor not its own."""
    for packet in packets:
        channel.reports._in.send(base64.b64decode(packet))
    return len(packets)
