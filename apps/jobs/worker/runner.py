"""In the pool process: take a job, run it, report; until there is none left.

The parent sends claimed jobs into a channel that all pool processes read, most alone, some in a line that is run in its
order. ``drain`` is what the parent asks the pool to run: it takes jobs until the channel is empty or its time is over (so that
ordinary Celery tasks get their turn, and the rest of a line that takes longer than thought goes back). Before a job begins,
one packet tells the parent how the last one ended and which one begins now; so whenever this process dies, the
parent knows which job it was running.
"""

import asyncio
import inspect
import json
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import pydantic_core
from billiard.pool import EX_RECYCLE
from django.db import connection, connections, transaction

from apps.jobs import statements
from apps.jobs.conf import conf
from apps.jobs.context import _run
from apps.jobs.errors import Cancelled, ResultError, Snooze, SoftTimeout, StaleRun, UnknownKind
from apps.jobs.kinds import Kind, get_kind
from apps.jobs.retry import next_delay
from apps.jobs.signature import sign
from apps.jobs.statements import Settlement
from apps.jobs.states import Outcome, State
from apps.jobs.storable import clean, has_nul
from apps.jobs.worker import channel, lock_keeper, stacks
from apps.jobs.worker.capture import JobLogHandler, cut
from apps.jobs.worker.current import Run

#: A drain ends after this long (seconds), to let ordinary Celery tasks have the process.
TURN = 1.0
#: How long a job of an unknown kind waits before it is offered again, in seconds: so long, longer each time, at most so long.
UNKNOWN_KIND_DELAY, UNKNOWN_KIND_LONGEST = 15.0, 600.0


class _Interruptions:
    """Signals that raise in the handler, and only there: SIGALRM for the soft timeout, SIGUSR2 for a cancellation or a lost
    lock."""

    def __init__(self) -> None:
        self.run: Run | None = None

    def install(self) -> None:
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.signal(signal.SIGUSR2, self._on_stop)

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        if self.run is not None:
            raise SoftTimeout("the soft timeout passed")

    def _on_stop(self, signum: int, frame: FrameType | None) -> None:
        if self.run is not None:
            self.run.told = False
            self.run.check()
            lock_keeper.check()

    def call(self, run: Run, soft_timeout: float | None, function: Callable[[], Any]) -> Any:
        self.run = run
        if soft_timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, soft_timeout)
        try:
            return function()
        finally:
            self.run = None
            if soft_timeout is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)


_interruptions = _Interruptions()
_ready_in_process = 0


def _prepare_process() -> None:
    global _ready_in_process
    if _ready_in_process != os.getpid():
        _ready_in_process = os.getpid()
        _interruptions.install()
        lock_keeper.install()
        JobLogHandler.install()
        stacks.listen()


def drain() -> None:
    """Run assigned jobs until there is none, at most for a turn.

    Raises:
        SystemExit: all is told, and this process shall be replaced by a new one.
    """
    _prepare_process()
    pid, end = os.getpid(), time.monotonic() + TURN
    ended: tuple[Any, ...] | None = None
    while time.monotonic() < end and (line := channel.assignments.receive()) is not None:
        for place, assignment in enumerate(line):
            if place and time.monotonic() > end:
                _report(pid, ended, None)
                ended = None
                channel.reports.send(("left", *[id for id, *_ in line[place:]]))
                break
            _report(pid, ended, assignment[0])
            ended = run(*assignment)
    if ended is not None:
        _report(pid, ended, None)
    if channel.restarts.asked():
        raise SystemExit(EX_RECYCLE)


def _report(pid: int, ended: tuple[Any, ...] | None, begun: str | None) -> None:
    """Tell the parent how the last job ended and which one begins."""
    try:
        channel.reports.send(("next", pid, ended, begun, time.time()))
    except (OSError, ValueError) as error:
        if ended is None:
            raise
        # Too large for the channel and no room for it elsewhere, or nothing that it carries: the job fails with that reason,
        # and the process goes on.
        text = f"ResultError: the end of this run could not be passed on: {error}"
        failed, name = (str(State.FAILED), str(Outcome.FAILED)), "ResultError"
        short = (*ended[:2], *failed, *ended[4:7], None, None, text, name, "", sign(name, text))
        channel.reports.send(("next", pid, short, begun, time.time()))


def run(
    id: str, kind_name: str, arguments: str, attempt: int, excused: int, max_attempts: int, *_others: Any
) -> tuple[Any, ...]:
    """Run one job to its end, whatever happens in it.

    Returns:
        A :class:`~apps.jobs.statements.Settlement` as a plain tuple.
    """
    current = Run(id, kind_name, attempt, excused, max_attempts)
    started = time.time()
    token = _run.set(current)
    verdict: tuple[Any, ...]
    try:
        kind = get_kind(kind_name)
        given = kind.arguments.from_json(arguments)
        handle = _handle_and_settle if kind.transactional else _handle
        verdict = (State.SUCCEEDED, Outcome.SUCCEEDED, None, handle(current, kind, given, started), "", "", "", "")
    except BaseException as error:  # SystemExit and interruptions too: this process goes on
        try:
            verdict = _verdict(current, error)
        except BaseException as second:  # what the exception does when it is asked about itself
            text = f"{_name(error)} (what becomes of it could not be told: {_name(second)})"
            verdict = (State.FAILED, Outcome.FAILED, None, None, text, _name(error), "", sign(_name(error), text))
    finally:
        _run.reset(token)
    lock_keeper.end_of_run()
    _release_connections(failed=verdict[0] != State.SUCCEEDED)
    state, outcome, delay, *rest = verdict
    return (id, attempt, str(state), str(outcome), os.getpid(), started, time.time(), delay, *rest)


def _handle(current: Run, kind: Kind, given: dict[str, Any], started: float) -> str | None:
    return result_json(kind, _interruptions.call(current, kind.soft_timeout, lambda: _call(kind, given)))


def _handle_and_settle(current: Run, kind: Kind, given: dict[str, Any], started: float) -> str | None:
    """In one transaction, so that what the handler writes there is committed if, and only if, this run settles the job. The
    parent settles it as well, as of every run: that finds it settled, or this run failed.

    Raises:
        StaleRun: the job is not this run's any more; nothing was written.
    """
    with transaction.atomic(durable=True):
        result = _handle(current, kind, given, started)
        ended = State.SUCCEEDED, Outcome.SUCCEEDED, os.getpid(), started, time.time()
        settlement = Settlement(str(current.id), current.attempt, *ended, result=result)
        if not statements.on(connection).settle(connection, [settlement]):
            raise StaleRun("its worker lost the job while it ran: what it wrote is rolled back")
    return result


def _call(kind: Kind, arguments: dict[str, Any]) -> Any:
    value = kind.handler(**arguments)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def result_json(kind: Kind, value: Any) -> str | None:
    """A handler's return value as JSON text; ``None`` for ``None``.

    Raises:
        ResultError: it has no JSON form, or is larger than the limit.
    """
    if value is None:
        return None
    try:
        text = pydantic_core.to_json(value, inf_nan_mode="constants").decode()
        if "NaN" in text or "Infinity" in text:  # perhaps only within a string
            json.loads(text, parse_constant=_no_constant)
    except (ValueError, pydantic_core.PydanticSerializationError) as error:
        raise ResultError(f"{kind.name} returned a {type(value).__name__} that has no JSON form: {error}") from None
    if has_nul(text):
        raise ResultError(f"{kind.name} returned text with the character U+0000, which cannot be stored.")
    size, limit = len(text.encode()), conf().max_result_bytes
    if size > limit:
        raise ResultError(
            f"{kind.name} returned {size:,} bytes of JSON, the limit is {limit:,} "
            "(FURROW['MAX_RESULT_BYTES']): store large results in a file or a table and return their name."
        )
    return text


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _verdict(current: Run, error: BaseException) -> tuple[Any, ...]:
    """What becomes of a job whose handler raised: state, outcome, delay, result, error, error's type, traceback,
    signature."""
    name = _name(error)
    text = cut(clean(" ".join(f"{name.rpartition('.')[2]}: {_said(error)}".split())), 2_000)
    if isinstance(error, Snooze):
        return (State.PENDING, Outcome.SNOOZED, error.seconds, None, clean(str(error))[:2_000], "", "", "")
    if isinstance(error, UnknownKind):
        later = min(UNKNOWN_KIND_DELAY * current.attempt, UNKNOWN_KIND_LONGEST)
        return (State.PENDING, Outcome.INTERRUPTED, later, None, text, "UnknownKind", "", "")
    if isinstance(error, Cancelled):
        return (State.CANCELLED, Outcome.CANCELLED, None, None, text, name, "", "")
    outcome = Outcome.TIMED_OUT if isinstance(error, SoftTimeout) else Outcome.FAILED
    story = cut(clean(_story(error)), conf().max_traceback)
    try:
        policy = get_kind(current.kind).retry
        delay = next_delay(policy, current.failures, current.max_attempts, error)
        delay = None if delay is None else float(delay)  # a Decimal is no number that the channel carries
    except Exception:
        logging.getLogger(__name__).exception("the retry policy of %s failed", current.kind)
        delay = None
    state = State.FAILED if delay is None else State.PENDING
    return (state, outcome, delay, None, text, name, story, sign(name, text, story))


def _name(error: BaseException) -> str:
    """The name of an exception's class as text that can be stored."""
    try:
        return clean(str(type(error).__qualname__)[:200])
    except Exception:
        return "Exception"


def _said(error: BaseException) -> str:
    """What an exception says of itself, the middle left out of much; also of one whose ``__str__`` fails."""
    try:
        return cut(str(error), 4_000)
    except Exception as second:
        return f"(its text cannot be told: __str__ raised {_name(second)})"


def _story(error: BaseException) -> str:
    """The traceback from the handler on: the engine's own frames say nothing about the error."""
    try:
        trail = error.__traceback__
        while trail is not None and trail.tb_frame.f_code.co_filename == __file__:
            trail = trail.tb_next
        return "".join(traceback.format_exception(type(error), error, trail))
    except Exception as second:  # an exception whose own __str__ raises
        return f"{_name(error)} (its traceback could not be formatted: {_name(second)})"


def _release_connections(*, failed: bool) -> None:
    """Keep the process's database connections for the next job; not after an error, which may have left them unusable."""
    for link in connections.all(initialized_only=True):
        if failed:
            link.close()
        else:
            link.close_if_unusable_or_obsolete()
