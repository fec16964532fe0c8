"""Jobs that meddle with their process: signals, children, the session, what is left behind."""

import base64
import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import close_old_connections, connection, connections, transaction
from django.db.models import F
from furrow import Secret, Snooze, current_job
from furrow.worker import channel

from tests.kinds.declared import ONCE, QUICK, append, job


@job(retry=QUICK)
def kills_itself(with_signal: int = int(signal.SIGKILL), times: int = 99) -> str:
    """Die by a signal."""
    if current_job.attempt <= times:
        os.kill(os.getpid(), with_signal)
    return "survived"


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
        context: Any = multiprocessing.get_context("fork" if forked else how)
        child: Any = context.Process(target=_counts_users if forked else os.mkdir, args=(mark,))
        child.start()
        child.join()
        return int(child.exitcode)
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


Leaves = Literal["settings", "an open transaction", "a wrapper", "another database"]


@job(retry=ONCE)
def sets_in_its_session(leave: Leaves) -> None:
    """Change what outlasts a transaction in its database session."""
    _change_session(leave)


@job(retry=ONCE)
async def sets_in_its_session_async(leave: Leaves) -> None:
    """The same from async code."""
    await sync_to_async(_change_session)(leave)


def _change_session(leave: str) -> None:
    with connection.cursor() as cursor:
        if leave == "an open transaction":
            cursor.execute("BEGIN")
            Group.objects.create(name="never committed")
        elif leave == "a wrapper":
            connection.execute_wrappers.append(_refuses)
        elif leave == "another database":
            connection.settings_dict["NAME"] = "/nowhere/at/all"
        else:
            on_sqlite = connection.vendor == "sqlite"
            cursor.execute("PRAGMA cache_size = 77" if on_sqlite else "SET statement_timeout = '77s'")

    if leave == "another database":
        connection.close()


def _refuses(*given: Any) -> None:
    raise LookupError("no statement is executed any more")


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
