"""Keeper: renews the leases that this process holds, and stops holders that have lost theirs.

In a web server, a command or a plain Celery task it is this process's :class:`Keeper`: one thread that renews. In a job it is
the worker's main process, which outlives the job's; the job engine registers how (``in_job``).
"""

import ctypes
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from furrow.locks import client, strange
from furrow.locks.conf import times
from furrow.locks.errors import LockError, LockLost, LockUnavailable
from furrow.locks.keys import key
from furrow.plural import counted

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Holding:
    """A slot of a lock that this process holds."""

    label: str
    holder: str
    token: int
    slot: int
    until: float  #: monotonic seconds, counted from before the request was sent: the lease ends no sooner in Redis
    thread: threading.Thread = field(default_factory=threading.current_thread)
    pid: int = field(default_factory=os.getpid)
    ticket: int = 0  #: its place in the line; 0: it did not have to wait
    lost: str = ""  #: why
    place: int = -1  #: for whoever keeps it elsewhere

    def is_ours(self) -> bool:
        """This process took it: a child of it has a copy, and is told of nothing."""
        return self.pid == os.getpid()

    def ends_soon(self) -> bool:
        """So soon that its holder must stop."""
        return time.monotonic() >= self.until - times().margin


def renew(leases: list[tuple[str, int, int]]) -> list[bool]:
    """Renew leases, given as label, slot and token; for each, whether it is still held.

    Raises:
        LockUnavailable: Redis is not there.
    """
    arguments = [text for _, slot, token in leases for text in (slot, token)]
    keys = [key("state", label) for label, _, _ in leases]
    answers = client.run("renew", keys, [int(times().lease * 1000), *arguments])
    with client.explained():
        strange.mend([key for key, answer in zip(keys, answers, strict=True) if answer == -1])
    return [answer == 1 for answer in answers]


class Keeper:
    """See the module. Thread-safe."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.owner = f"{socket.gethostname()}:{self.pid}:{secrets.token_hex(4)}"
        self.holdings: list[Holding] = []
        self.mutex = threading.Lock()
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    def refuse_again(self, label: str) -> None:
        """A thread that holds a lock would wait for itself.

        Raises:
            LockError: this thread holds it.
        """
        me = threading.current_thread()
        if any(held.label == label and held.thread is me for held in self.holdings):
            raise LockError(
                f"{label} is held by this thread already; locks are not reentrant. Pass on the object of `with … as held`."
            )

    def keep(self, holding: Holding) -> None:
        """From now on keep its lease."""
        with self.mutex:
            self.holdings.append(holding)
            self._busy.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="furrow-locks", daemon=True)
                self._thread.start()

    def let_go(self, holding: Holding) -> None:
        """Keep it no longer; its holder is not interrupted from now on."""
        with self.mutex:
            if holding in self.holdings:
                self.holdings.remove(holding)
            if holding.lost:
                self.spare(holding)

    # --- the thread -----------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._busy.wait()
            time.sleep(times().step)
            try:
                self.look()
            except Exception as error:
                logger.exception("looking after locks")
                strange.tell("keeper of locks", f"A process cannot look after its locks: {type(error).__name__}: {error}", "")
            if not self.holdings:
                self._busy.clear()
                if self.holdings:
                    self._busy.set()

    def look(self) -> None:
        """Renew what is due; stop the holders of what is lost or cannot be renewed in time."""
        with self.mutex:
            mine = list(self.holdings)
        reason = "its lease could not be renewed in time"
        try:
            self.renew(mine)
        except LockUnavailable as error:
            reason = f"{reason}: {error}"
            logger.warning("Not renewed: %s: %s", counted(len(mine), "lock"), error)
        for holding in mine:
            if holding.ends_soon():
                self.lose(holding, reason)

    def renew(self, holdings: list[Holding]) -> None:
        """Renew the leases that are due."""
        began, age = time.monotonic(), times().lease - times().renewal
        due = [one for one in holdings if one.until - began < age and one.thread.is_alive()]
        if not due:
            return
        answers = renew([(one.label, one.slot, one.token) for one in due])
        for one, held in zip(due, answers, strict=True):
            if held:
                one.until = began + times().lease
            else:
                self.lose(one, "it was broken, or Redis does not know of it any more")

    def lose(self, holding: Holding, reason: str) -> None:
        """It is lost: its holder must stop."""
        with self.mutex:
            if holding not in self.holdings:
                return
            self.holdings.remove(holding)
            if not holding.thread.is_alive():
                reason = "its thread has ended without giving it back"
            holding.lost = reason
            logger.error("%s (token %d) is lost: %s.", holding.label, holding.token, reason)
            if holding.thread.is_alive():
                self.interrupt(holding)

    def interrupt(self, holding: Holding) -> None:
        """Raise in the holder's thread, at its next Python instruction."""
        _raise_in(holding.thread, LockLost)

    def spare(self, holding: Holding) -> None:
        """Undo ``interrupt`` if it did not happen yet."""
        _raise_in(holding.thread, None)


def _raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    if thread.ident is not None:
        raised = ctypes.py_object(error) if error else None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), raised)


#: Set by the job engine: gives the keeper of the job that this code runs in, if it runs in one.
in_job: Callable[[], Keeper | None] | None = None

_own: Keeper | None = None


def current() -> Keeper:
    """Whoever keeps what this code takes."""
    global _own
    if in_job is not None and (keeper := in_job()) is not None:
        return keeper
    if _own is None:
        _own = Keeper()
    return _own


def _forget() -> None:
    global _own
    _own = None


os.register_at_fork(after_in_child=_forget)
