"""What a run needs of a pool process, in the process and on the connections of a test.

The runner of the worker's pool processes (:mod:`furrow.worker.child.runner`) runs the jobs; this stands in for what surrounds
it there: the channel to the worker, signals, the connection of its own. A job that fails in the database must not take the
test's transaction with it, as it takes nobody else's in a pool process.
"""

import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections

from furrow.kinds.kind import Kind
from furrow.locks.wakeup import wake
from furrow.statements import Chunk, LogRecord, Progress
from furrow.worker import channel
from furrow.worker.child import runner
from furrow.worker.child.capture import JobLogHandler
from furrow.worker.child.current import Run
from furrow.worker.child.interruptions import Interruptions

logger = logging.getLogger(__name__)


class Reports:
    """In the place of the channel to the worker: keeps what the run reports."""

    def __init__(self) -> None:
        self.logs: list[LogRecord] = []
        self.output: list[Chunk] = []
        self.progress: Progress | None = None

    def send(self, packet: tuple[Any, ...]) -> None:
        """As :meth:`furrow.worker.channel.Reports.send`."""
        if packet[0] == "log":
            self.logs.append(LogRecord._make(packet[1:]))
        elif packet[0] == "emit":
            self.output.append(Chunk._make(packet[1:]))
        elif packet[0] == "progress":
            self.progress = Progress._make(packet[1:])


class NoStopRequests:
    """In the place of the shared memory by which a worker stops a run."""

    def asked(self, process: int) -> None:
        """Nobody asks."""


class Uninterrupted(Interruptions):
    """Calls handlers, and raises nothing in them: a timeout would end a debugger's session. Keeps what they raise."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: BaseException | None = None

    def call(self, run: Run, kind: Kind, function: Callable[[], Any]) -> Any:
        """As of a pool process."""
        try:
            return function()
        except BaseException as error:
            self.raised = error
            raise

    def tell(self, function: Callable[[], Any]) -> Any:
        """As of a pool process."""
        return function()

    def awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Queries of async code are done in the thread, and so in the transaction, of the test."""

        async def handler() -> Any:
            return await coroutine

        return async_to_sync(handler)()


@contextmanager
def pool_process(reports: Reports, interruptions: Uninterrupted) -> Iterator[None]:
    """Let the runner run jobs here."""
    with ExitStack() as stack:
        stack.enter_context(_in_place_of(runner, "_interruptions", interruptions))
        stack.enter_context(_in_place_of(channel, "reports", reports))
        stack.enter_context(_in_place_of(channel, "stop_requests", NoStopRequests()))
        stack.enter_context(_job_logs())
        yield


@contextmanager
def _in_place_of(module: Any, name: str, value: Any) -> Iterator[None]:
    there = vars(module).get(name, module)
    setattr(module, name, value)
    try:
        yield
    finally:
        if there is module:
            delattr(module, name)
        else:
            setattr(module, name, there)


@contextmanager
def _job_logs() -> Iterator[None]:
    """What is logged goes into the job's log; the loggers are as they were afterwards."""
    loggers = [logging.getLogger(), logging.getLogger("celery.task")]
    before = [(one, one.level, one.handlers[:]) for one in loggers]
    handlers = {handler: (handler.filters[:], vars(handler).get("handleError")) for one in loggers for handler in one.handlers}
    JobLogHandler.install()
    try:
        yield
    finally:
        for one, level, its in before:
            one.setLevel(level)
            for handler in [handler for handler in one.handlers if handler not in its]:
                one.removeHandler(handler)
        for handler, (filters, told) in handlers.items():
            handler.filters[:] = filters
            vars(handler).pop("handleError", None)
            if told is not None:
                vars(handler)["handleError"] = told


class OwnConnection:
    """Around a run: what a connection of its own would give it, on those that are in a transaction of the test's.

    An error of the database ends with the run (what the run wrote goes with it). ``on_commit`` callbacks of the run are called
    when it has ended, though the test's transaction never commits; where the code under test has a transaction open they wait
    for that.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Any, Any, int]] = [
            (link, link.savepoint(), len(link.run_on_commit))
            for link in connections.all(initialized_only=True)
            if link.in_atomic_block
        ]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The run. A ``transactional`` one, and whatever else is ``durable``, may begin its transaction."""
        tops = [(link.atomic_blocks[-1], link.atomic_blocks[-1]._from_testcase) for link, _, _ in self._held]
        for block, _ in tops:
            block._from_testcase = True
        try:
            yield
        finally:
            for block, own in tops:
                block._from_testcase = own

    def leave(self) -> None:
        """The run has ended."""
        for link, savepoint, callbacks in self._held:
            if link.needs_rollback or _is_broken(link):
                link.needs_rollback = False
                link.savepoint_rollback(savepoint)
                del link.run_on_commit[callbacks:]
                continue
            link.savepoint_commit(savepoint)
            if is_the_tests(link):
                due, link.run_on_commit[callbacks:] = link.run_on_commit[callbacks:], []
                for _, callback, *_ in due:
                    _call_back(callback)


def _call_back(callback: Callable[[], Any]) -> None:
    if callback is not wake:  # of no dispatcher
        try:
            callback()
        except Exception:
            logger.exception("An on_commit callback of a job failed")


def is_the_tests(link: Any) -> bool:
    """Nothing but the test's own transaction is open here."""
    blocks: list[Any] = link.atomic_blocks
    return all(block._from_testcase for block in blocks)


def _is_broken(link: Any) -> bool:
    """PostgreSQL: an error has aborted the transaction."""
    return link.vendor == "postgresql" and link.connection is not None and int(link.connection.info.transaction_status) == 3
