"""In the pool process: take a job, run it, report; until there is none left.

The parent sends claimed jobs into a channel that all pool processes read, most alone, some in a line that is run in its
order. ``drain`` is what the parent asks the pool to run: it takes jobs until the channel is empty or its time is over (so that
ordinary Celery tasks get their turn, and the rest of a line that takes longer than thought goes back). Before a job begins,
one packet tells the parent how the last one ended and which one begins now; so whenever this process dies, the
parent knows which job it was running.
"""

import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import copy_context
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from billiard.pool import EX_RECYCLE

from furrow import middleware, statements
from furrow.context import _run
from furrow.diagnosis import troubles
from furrow.errors import Cancelled, StaleRun, Suspended
from furrow.fingerprint import fingerprint
from furrow.kinds.kind import Kind, get_kind
from furrow.kinds.masks import masks_of
from furrow.kinds.returned import result_json
from furrow.middleware import RunningJob
from furrow.models.database import atomic, connection
from furrow.statements import Settlement
from furrow.states import Outcome, State
from furrow.worker import channel, offspring, stacks
from furrow.worker.child import db_sessions, lock_keeper, one_transaction, pinned
from furrow.worker.child.afresh import Afresh
from furrow.worker.child.capture import JobLogHandler
from furrow.worker.child.current import Run
from furrow.worker.child.interruptions import Interruptions
from furrow.worker.child.verdict import name_of, untellable, verdict
from furrow.worker.offspring import in_this_process
from furrow.worker.shortage import again_in, is_shortage

logger = logging.getLogger(__name__)

_SUCCEEDED = (str(State.SUCCEEDED), str(Outcome.SUCCEEDED))
#: What does not run before it is awaited or iterated over.
_UNFINISHED = (CoroutineType, AsyncGeneratorType, GeneratorType)
#: A drain ends after this long (seconds), to let ordinary Celery tasks have the process.
TURN = 1.0

_interruptions = Interruptions()
_ready_in_process = 0
_afresh: Afresh | None = None
#: Why this process is replaced after its turn.
_worn_out = ""
#: How the last run ended, while that is not told.
_ended: tuple[Any, ...] | None = None
#: Jobs that this process has taken, and not begun.
_taken: list[str] = []


def _prepare_process() -> None:
    global _ready_in_process, _afresh
    if _ready_in_process != os.getpid():
        _ready_in_process = os.getpid()
        _interruptions.install()
        offspring.install()
        lock_keeper.install()
        JobLogHandler.install()
        stacks.listen()
        db_sessions.watch()
        troubles.carry = lambda *told: channel.reports.send(("trouble", *told))
        _afresh = Afresh()


def drain() -> None:
    """Run assigned jobs until there is none, at most for a turn.

    Raises:
        SystemExit: all is told, and this process shall be replaced by a new one.
    """
    try:
        _prepare_process()
        _interruptions.in_turn = True
        _take_a_turn()
    except BaseException as error:  # not of a handler, whose errors end its run: this process cannot work
        _give_up(error)
    finally:
        _interruptions.in_turn = False
    if _worn_out:
        logger.warning("Pool process %d is replaced: %s.", os.getpid(), _worn_out)
    if _worn_out or channel.restarts.asked() or _interruptions.shutdown_requested:
        raise SystemExit(EX_RECYCLE)


def _take_a_turn() -> None:
    global _ended, _taken
    pid, end = os.getpid(), time.monotonic() + TURN
    while not _is_over(end) and (line := channel.assignments.receive()) is not None:
        _taken = [assignment[0] for assignment in line]
        for assignment in line:
            if len(_taken) < len(line) and _is_over(end):
                _tell_end(pid)
                _leave("the jobs before it took longer than thought")
                break
            _report(pid, _ended, assignment[0])
            _ended = None
            del _taken[0]
            _ended = run(*assignment)
    _tell_end(pid)


def _give_up(error: BaseException) -> None:
    """Tell what can be told, before this process is replaced: how the last run ended, and what goes back. The worker finds the
    rest when it is gone."""
    global _worn_out
    with suppress(BaseException):
        _worn_out = f"it cannot work ({name_of(error)}: {error})"
        troubles.failed("turn of a pool process", error)
    with suppress(BaseException):
        _tell_end(os.getpid())
        _leave(f"its pool process could not take it: {name_of(error)}")


def _tell_end(pid: int) -> None:
    global _ended
    if _ended is not None:
        _report(pid, _ended, None)
        _ended = None


def _leave(reason: str) -> None:
    """Give back what was taken and not begun."""
    global _taken
    if _taken:
        channel.reports.send(("left", reason, *_taken))
        _taken = []


def _is_over(end: float) -> bool:
    return time.monotonic() >= end or _interruptions.shutdown_requested or bool(_worn_out)


def _report(pid: int, ended: tuple[Any, ...] | None, begun: str | None) -> None:
    """Tell the parent how the last job ended and which one begins."""
    try:
        channel.reports.send(("next", pid, ended, begun, time.time()))
    except (MemoryError, ValueError) as error:
        if ended is None:
            raise
        # No memory for it, or nothing that the channel carries: the job fails with that reason, and the process goes on.
        text = f"ResultError: the end of this run could not be passed on: {error}"
        failed, name = (str(State.FAILED), str(Outcome.FAILED)), "ResultError"
        short = (*ended[:2], *failed, *ended[4:7], None, None, text, name, "", fingerprint(name, text))
        channel.reports.send(("next", pid, short, begun, time.time()))


def run(
    id: str,
    kind_name: str,
    arguments: str,
    attempt: int,
    excused: int,
    max_attempts: int,
    _limited: int = 0,
    _line: str = "",
    _wait: float = 0.0,
    meta: str | None = None,
) -> tuple[Any, ...]:
    """Run one job, the fields of a :class:`~furrow.statements.Claimed`, to its end, whatever happens in it.

    Returns:
        A :class:`~furrow.statements.Settlement` as a plain tuple.
    """
    started = time.time()
    current = Run(id, kind_name, attempt, excused, max_attempts, meta)
    try:
        context = copy_context() if _afresh is None else _afresh.context()
        end = context.run(_run_to_its_end, current, arguments, meta, started)
    except BaseException as error:  # of an alarm or a thread that the handler left behind: it came when the run was over
        end = _end_by(current, error)
    _leave_as_found(current, failed=end[0] != State.SUCCEEDED)
    state, outcome, delay, *rest = end
    pid = _ready_in_process or os.getpid()
    return (id, attempt, str(state), str(outcome), pid, started, time.time(), delay, *rest)


def _run_to_its_end(current: Run, arguments: str, meta: str | None, started: float) -> tuple[Any, ...]:
    _run.set(current)
    try:
        kind = get_kind(current.kind)
        if kind.pinned:
            pinned.look(current)
        given = kind.read(arguments)
        current.arguments_text = arguments
        current.masks = masks_of(arguments, meta)
        current.called = True
        handle = _handle_and_settle if kind.transactional else _handle
        result = handle(current, kind, given, started)
        return (*_SUCCEEDED, None, result, "", "", "", "")
    except BaseException as error:  # SystemExit and interruptions too: this process goes on
        return _end_by(current, error)


def _end_by(current: Run, error: BaseException) -> tuple[Any, ...]:
    """What becomes of a run that an exception ended. Before its handler was called a shortage is not the job's fault."""
    global _worn_out
    if not current.called and is_shortage(error):
        _worn_out = f"it could not begin a job ({name_of(error)})"
        text = f"its pool process could not begin it: {name_of(error)}"
        return (State.PENDING, Outcome.INTERRUPTED, again_in(current.excused), None, text, "", "", "")
    try:
        end: tuple[Any, ...] = _interruptions.tell(lambda: verdict(current, error))
    except BaseException as second:  # what the exception does when it is asked about itself
        end = untellable(current, error, second)
    return end


def _leave_as_found(current: Run, *, failed: bool) -> None:
    """The next run finds the process as this one did."""
    global _worn_out
    try:
        _worn_out = _worn_out or ("" if _afresh is None else _afresh.restore())
        lock_keeper.end_of_run()
        for alias in db_sessions.end_of_run(failed=failed):
            text = f"A transaction was left open on the database {alias!r}: it was rolled back. Use atomic()."
            with suppress(Cancelled):
                current.log(logging.WARNING, "", text)
    except BaseException as error:  # an alarm's too; the end of the run is told all the same
        logger.exception("What %s has left could not be put away", current.kind)
        _worn_out = f"what a run has left could not be put away: {error!r}"


def _handle(current: Run, kind: Kind, given: dict[str, Any], started: float) -> str | None:
    def to_its_end() -> str | None:
        value = _call_within(current, kind, given)
        current.end_steps()
        return current.masks.json(result_json(kind, value))

    result: str | None = _interruptions.call(current, kind, lambda: in_this_process(to_its_end))
    return result


def _handle_and_settle(current: Run, kind: Kind, given: dict[str, Any], started: float) -> str | None:
    """In one transaction, so that what the handler writes there is committed if, and only if, this run settles the job. The
    parent settles it as well, as of every run: that finds it settled, or this run failed.

    Raises:
        StaleRun: the job is not this run's any more; nothing was written.
        TransactionEnded: the handler ended it.
        Suspended: it waits in a step; what it wrote so far is committed.
    """
    current.transactional = True
    result, suspended = None, None
    with atomic(durable=True):
        with one_transaction.held(connection):
            try:
                result = _handle(current, kind, given, started)
            except Suspended as waits:
                suspended = waits
        if suspended is not None:  # its worker settles it, as any run
            current.steps.recorder.guard()
        elif not statements.on(connection).settle(connection, [_success(current, started, result)]):
            raise StaleRun("its worker lost the job while it ran: what it wrote is rolled back")
    if suspended is not None:
        raise suspended
    return result


def _success(current: Run, started: float, result: str | None) -> Settlement:
    ended = State.SUCCEEDED, Outcome.SUCCEEDED, os.getpid(), started, time.time()
    return Settlement(str(current.id), current.attempt, *ended, result=result)


def _call_within(current: Run, kind: Kind, arguments: dict[str, Any]) -> Any:
    if not middleware.chains().run:
        return _call(kind, arguments)
    job = RunningJob(current.id, current.kind, current.attempt, current.max_attempts, arguments, current.meta)
    return middleware.around_run(job, lambda: _call(kind, arguments))


def _call(kind: Kind, arguments: dict[str, Any]) -> Any:
    """To its end: what a generator yields is its result, as a list."""
    value = kind.handler(**arguments)
    if not isinstance(value, _UNFINISHED):
        return value
    if isinstance(value, CoroutineType):
        return _interruptions.awaited(value)
    return _interruptions.awaited(_listed(value)) if isinstance(value, AsyncGeneratorType) else list(value)


async def _listed(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]
