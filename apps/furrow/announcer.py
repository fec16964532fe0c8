"""The process that calls receivers for a worker or a dispatcher. It is forked before all else, and only if anybody listens.

A receiver may be slow, hang or crash: it holds up other signals then, and no job. What waits is bounded; what comes on top is
dropped, and a trouble says so. The process that was forked calls no receiver itself: where one ends its process (a crash in C,
the kernel's want of memory), it starts another, which goes on with what comes.
"""

import logging
import marshal
import os
import queue
import signal
import socket
import threading
import time
from contextlib import suppress

from django.db import Error, close_old_connections, connections

from furrow import signals
from furrow.diagnosis import troubles
from furrow.signals import News

logger = logging.getLogger(__name__)

#: Packets that wait for receivers, at most; jobs in one packet; bytes of a packet.
MOST_WAITING, AT_ONCE, PACKET = 5_000, 200, 1 << 16
#: Seconds between two looks whether the parent lives, and that the parent waits for the last signals when it ends.
LOOK, LINGER = 1.0, 5.0
_DONTWAIT = socket.MSG_DONTWAIT
_REMEDY = "Let receivers be quick: have them submit a job instead of doing the work."
_CRASHED = "See which receiver ends its process, and have it submit a job instead."


class Announcer:
    """The parent's side."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._pid = 0

    def start(self) -> None:
        """Fork the process, if anybody listens. Before threads, and while no connection to the database is open."""
        if not signals.listened_to():
            return
        ours, theirs = _packets()
        try:
            self._pid = os.fork()
        except OSError as error:
            troubles.failed("start of the process for signals", error)
            return
        if self._pid == 0:
            try:
                ours.close()
                _keep_serving(theirs)
            finally:
                os._exit(0)
        theirs.close()
        self._socket = ours
        signals.pass_on_to(self.tell)

    def tell(self, news: News) -> None:
        """Have this sent. From any thread; never waits."""
        how, told = news
        for at in range(0, len(told), AT_ONCE):
            try:
                if self._socket is not None:
                    self._socket.send(marshal.dumps((how, list(told[at : at + AT_ONCE]))), _DONTWAIT)
            except OSError as error:
                text = f"Signals of jobs that ended were dropped: {error}"
                troubles.note("signals of jobs", text, _REMEDY)

    def stop(self) -> None:
        """Let the last signals be sent, for some seconds."""
        if self._socket is None:
            return
        with suppress(OSError):
            self._socket.send(marshal.dumps(None), _DONTWAIT)
        self._socket.close()
        self._socket = None
        signals.pass_on_to(None)
        deadline = time.monotonic() + LINGER
        with suppress(ChildProcessError, ProcessLookupError):
            while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    logger.warning("A receiver of signals did not end in %g s; what else was to be sent is dropped.", LINGER)
                    os.kill(self._pid, signal.SIGKILL)
                    os.waitpid(self._pid, 0)
                    break
                time.sleep(0.01)


def _packets() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:  # macOS
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def _keep_serving(packets: socket.socket) -> None:
    """The process that was forked: until what it starts has ended in order, or the parent is gone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _leave_signals_to_the_parent()
    parent, ended = os.getppid(), 0
    while os.getppid() == parent:
        try:
            pid = os.fork()
        except OSError:  # no process is left for it: a moment later
            _wait_for_child()
            continue
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _serve(packets, ended)
            return
        while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0) and os.getppid() == parent:
            _wait_for_child()
        if (ended := found[1]) == 0:
            return


def _wait_for_child() -> None:
    if hasattr(signal, "sigtimedwait"):
        signal.sigtimedwait({signal.SIGCHLD}, LOOK)
    else:  # macOS
        time.sleep(LOOK / 10)


def _leave_signals_to_the_parent() -> None:
    """It says when this one ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _serve(packets: socket.socket, ended: int) -> None:
    """The process that calls receivers: until the parent ends and nothing waits. ``ended``: how the one before it did."""
    signals.pass_on_to(None)
    connections.close_all()
    if ended:
        how = os.waitstatus_to_exitcode(ended)
        text = f"The process that calls receivers of signals ended ({f'signal {-how}' if how < 0 else f'exit code {how}'})"
        troubles.tell("signals of jobs", f"{text}; what waited was dropped, and another goes on", _CRASHED)
        troubles.flush_quietly()
    waiting: queue.Queue[News | None] = queue.Queue(MOST_WAITING)
    parent = os.getppid()
    threading.Thread(target=_read, args=(packets, waiting, parent), name="furrow-signals", daemon=True).start()
    while (news := waiting.get()) is not None:
        try:
            signals.deliver(news)
        except Error as error:
            logger.warning("Signals of jobs are not sent, the database is away: %s", str(error).strip())
            connections.close_all()
        except Exception as error:
            troubles.failed("signals of jobs", error)
        close_old_connections()
        troubles.flush_quietly()


def _read(packets: socket.socket, waiting: "queue.Queue[News | None]", parent: int) -> None:
    """A thread: so that the parent never finds the socket full for long."""
    packets.settimeout(LOOK)
    while True:
        news = None
        try:
            if content := packets.recv(PACKET):
                news = marshal.loads(content)  # noqa: S302 - written by the parent
        except TimeoutError:
            if os.getppid() == parent:
                continue
        if news is None:
            with suppress(queue.Full):
                waiting.put(None, timeout=LINGER)
            told, deadline = os.getppid() == parent, time.monotonic() + 2 * LINGER
            while time.monotonic() < deadline and not (told and os.getppid() != parent):
                time.sleep(0.01)  # the worker or dispatcher, if it lives, gives up first and says so
            os._exit(1)  # a receiver hangs
        try:
            waiting.put_nowait(news)
        except queue.Full:
            troubles.note("signals of jobs", "Signals of jobs that ended were dropped: their receivers are too slow", _REMEDY)
