"""In the pool process: what stops a handler from outside, raised in its code and nowhere else.

One signal, SIGUSR2, says that there is something to raise: a cancellation, a lost lock, the soft timeout. A thread of its own
sends it for the soft timeout, so that ``signal.alarm`` and SIGALRM belong to the handlers. Signals that end a process
(``TO_THE_GROUP``) do so between two turns only: systemd and others send them to all processes of a worker at once, and then it
is the main process that says what becomes of running jobs.
"""

import _signal  # type: ignore[import-not-found]  # without the enums: a tenth of the time
import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from types import FrameType
from typing import Any

from billiard.pool import EX_RECYCLE

from furrow.errors import SoftTimeout
from furrow.kinds.kind import Kind
from furrow.worker.child import lock_keeper
from furrow.worker.child.current import Run

#: Signals that a service manager or a terminal sends to all processes of a worker.
TO_THE_GROUP = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


#: Seconds that telling of an exception may take; after as long again its process ends. It is interrupted so often meanwhile:
#: Python's own ``traceback`` swallows what is raised while it asks for a text.
TELLING, INSIST = 5.0, 10


class TooSlow(BaseException):
    """What was asked of a handler's exception took too long."""


class Interruptions:
    """Calls handlers, and raises in them."""

    def __init__(self) -> None:
        self.run: Run | None = None
        #: This process is in a turn: it ends when that is over.
        self.in_turn = False
        #: It was told to end in a turn.
        self.shutdown_requested = False
        self._deadline: float | None = None
        self._tell_by: float | None = None
        self._coroutine: Interruptible | None = None
        self._clock: _Clock | None = None
        self._interrupted = 0
        self._soft_error: type[BaseException] = SoftTimeout

    def install(self) -> None:
        """In a new pool process."""
        signal.signal(signal.SIGUSR2, self._on_stop)
        ours = {number: self._after_the_turn(signal.getsignal(number)) for number in TO_THE_GROUP}
        for number, handler in ours.items():
            signal.signal(number, handler)

        mask = threading.local()

        def before() -> None:  # what comes for the child before it has its own handlers waits
            mask.of_parent = signal.pthread_sigmask(signal.SIG_BLOCK, TO_THE_GROUP)

        def in_parent() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask.of_parent)

        def in_child() -> None:  # of a handler: it has no turn, and ends when it is told to
            for number, handler in ours.items():
                if signal.getsignal(number) is handler:
                    signal.signal(number, signal.SIG_DFL)
            in_parent()

        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)

    def call(self, run: Run, kind: Kind, function: Callable[[], Any]) -> Any:
        """Call the function; meanwhile what stops the run is raised in it.

        Raises:
            Interruption: one of them; for the soft timeout what the kind says.
        """
        soft_timeout, self._soft_error = kind.limits(run.meta_text)[0], kind.soft_error
        self._deadline = None if soft_timeout is None else time.monotonic() + soft_timeout
        if self._deadline is not None:
            if self._clock is None or self._clock.pid != os.getpid():
                self._clock = _Clock()
            self._clock.set(self._deadline)
        try:
            self.run = run  # not before: what is raised while the clock is locked would leave it locked
            return function()
        finally:
            self.run = self._deadline = None
            if soft_timeout is not None and self._clock is not None:
                self._clock.set(None)

    def tell(self, function: Callable[[], Any]) -> Any:
        """Call a function that asks a handler's exception about itself. One that goes on though it was interrupted ends this
        process; its worker then says how the run ended.

        Raises:
            TooSlow: it took too long.
        """
        _signal.signal(_signal.SIGUSR2, self._on_stop)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGUSR2,))
        self._interrupted = 0
        self._set_clock(TELLING)
        try:
            return function()
        finally:
            self._tell_by = None
            if self._clock is not None:
                self._clock.set(None)

    def _set_clock(self, seconds: float) -> None:
        self._tell_by = time.monotonic() + seconds
        if self._clock is None or self._clock.pid != os.getpid():
            self._clock = _Clock()
        self._clock.set(self._tell_by)

    def awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in an event loop of its own: interruptions are raised where it awaits."""
        self._coroutine = interruptible = Interruptible(coroutine)
        try:
            return asyncio.run(interruptible)
        except BaseExceptionGroup as group:  # of a TaskGroup, whose body was interrupted
            if interruptible.thrown is not None and group.subgroup(lambda error: error is interruptible.thrown):
                raise interruptible.thrown from None
            raise
        finally:
            self._coroutine = None

    def _on_stop(self, signum: int, frame: FrameType | None) -> None:
        try:
            self._check()
        except BaseException as error:
            if self._coroutine is None or self._coroutine.is_stepping():
                raise
            if not self._coroutine.is_over():  # else its event loop ends already
                self._coroutine.throw_soon(error)

    def _check(self) -> None:
        if self._tell_by is not None and time.monotonic() >= self._tell_by:
            self._interrupted += 1
            if self._interrupted > INSIST:
                os._exit(EX_RECYCLE)
            self._set_clock(TELLING / INSIST)
            raise TooSlow(f"more than {TELLING:g} s")
        if self.run is None:
            return
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            raise self._soft_error("the soft timeout passed")
        self.run.told = False
        self.run.check()
        lock_keeper.check()

    def _after_the_turn(self, ends: Any) -> Callable[[int, FrameType | None], None]:
        def on_signal(signum: int, frame: FrameType | None) -> None:
            if self.in_turn:
                self.shutdown_requested = True
            elif callable(ends):
                ends(signum, frame)
            elif ends is not signal.SIG_IGN:
                os._exit(128 + signum)

        return on_signal


class Interruptible(Coroutine[Any, Any, Any]):
    """A coroutine into which an exception can be thrown where it waits. asyncio can only cancel a task; that arrives here, and
    goes on as what was meant."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self._pending: BaseException | None = None
        #: What was thrown into it.
        self.thrown: BaseException | None = None

    def is_stepping(self) -> bool:
        """Its own code runs right now, and an exception can be raised there."""
        return self._task is not None and asyncio.current_task(self._task.get_loop()) is self._task

    def is_over(self) -> bool:
        """It has returned or raised."""
        return self._task is not None and self._task.done()

    def throw_soon(self, error: BaseException) -> None:
        """From a signal's handler."""
        self._pending = error
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def send(self, value: Any) -> Any:
        """A step."""
        if self._task is None:
            self._task = asyncio.current_task()
            if self._pending is not None:
                return self.throw(asyncio.CancelledError())
        return self._coroutine.send(value)

    def throw(self, error: Any, value: Any = None, trace: Any = None) -> Any:
        """A step that begins with an exception."""
        if self._pending is not None and isinstance(error, asyncio.CancelledError):
            error, self._pending = self._pending, None
            self.thrown = error
            if self._task is not None:
                self._task.uncancel()
        return self._coroutine.throw(error)

    def close(self) -> None:
        """Never run to its end."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._coroutine.__await__())


class _Clock(threading.Thread):
    """Sends the main thread a signal when the deadline has come."""

    def __init__(self) -> None:
        super().__init__(name="furrow-soft-timeout", daemon=True)
        self.pid = os.getpid()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._waits_until = float("inf")
        self.start()

    def set(self, deadline: float | None) -> None:
        """The next one, in monotonic seconds; ``None``: none."""
        with self._changed:
            self._deadline = deadline
            if deadline is not None and deadline < self._waits_until:
                self._changed.notify()

    def run(self) -> None:
        """The thread. It is not woken for a later deadline, nor for none: it looks when the earlier one has come."""
        with self._changed:
            while True:
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is not None and left <= 0:
                    self._deadline = None
                    _signal_main_thread()
                    continue
                self._waits_until = float("inf") if self._deadline is None else self._deadline
                self._changed.wait(left)


def _signal_main_thread() -> None:
    if (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, signal.SIGUSR2)
