"""In the pool process: take a job, run it, report; until there is none left.

The parent sends claimed jobs into a channel that all pool processes read, most alone, some in a line that is run in its
order. ``drain`` is what the parent asks the pool to run: it takes jobs until the channel is empty or its time is over (so that
ordinary Celery tasks get their turn, and the rest of a line that takes longer than thought goes back). Before a job begins,
one packet tells the parent how the last one ended and which one begins now; so whenever this process dies, the
parent knows which job it was running.
"""

import inspect
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pydantic_core
from billiard.pool import EX_RECYCLE
from django.db import connection, transaction

from apps.jobs import statements
from apps.jobs.conf import conf
from apps.jobs.context import _run
from apps.jobs.errors import Cancelled, ResultError, StaleRun
from apps.jobs.kinds import Kind, get_kind
from apps.jobs.signature import sign
from apps.jobs.statements import Settlement
from apps.jobs.states import Outcome, State
from apps.jobs.storable import has_nul
from apps.jobs.worker import channel, db_sessions, lock_keeper, offspring, one_transaction, stacks
from apps.jobs.worker.afresh import Afresh
from apps.jobs.worker.capture import JobLogHandler
from apps.jobs.worker.current import Run
from apps.jobs.worker.interruptions import Interruptions
from apps.jobs.worker.masks import Masks
from apps.jobs.worker.offspring import in_this_process
from apps.jobs.worker.verdict import name_of, verdict

logger = logging.getLogger(__name__)

#: A drain ends after this long (seconds), to let ordinary Celery tasks have the process.
TURN = 1.0

_interruptions = Interruptions()
_ready_in_process = 0
_afresh: Afresh | None = None
#: Why this process is replaced after its turn.
_worn_out = ""


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
        _afresh = Afresh()


def drain() -> None:
    """Run assigned jobs until there is none, at most for a turn.

    Raises:
        SystemExit: all is told, and this process shall be replaced by a new one.
    """
    _prepare_process()
    _interruptions.in_turn = True
    try:
        _take_a_turn()
    finally:
        _interruptions.in_turn = False
    if _worn_out:
        logger.warning("Pool process %d is replaced: %s.", os.getpid(), _worn_out)
    if _worn_out or channel.restarts.asked() or _interruptions.told_to_end:
        raise SystemExit(EX_RECYCLE)


def _take_a_turn() -> None:
    pid, end = os.getpid(), time.monotonic() + TURN
    ended: tuple[Any, ...] | None = None
    while not _is_over(end) and (line := channel.assignments.receive()) is not None:
        for place, assignment in enumerate(line):
            if place and _is_over(end):
                _report(pid, ended, None)
                ended = None
                channel.reports.send(("left", *[id for id, *_ in line[place:]]))
                break
            _report(pid, ended, assignment[0])
            ended = run(*assignment)
    if ended is not None:
        _report(pid, ended, None)


def _is_over(end: float) -> bool:
    return time.monotonic() >= end or _interruptions.told_to_end or bool(_worn_out)


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
    context = copy_context() if _afresh is None else _afresh.context()
    state, outcome, delay, *rest = context.run(_run_to_its_end, current, arguments, started)
    _leave_as_found(current, failed=state != State.SUCCEEDED)
    return (id, attempt, str(state), str(outcome), os.getpid(), started, time.time(), delay, *rest)


def _run_to_its_end(current: Run, arguments: str, started: float) -> tuple[Any, ...]:
    _run.set(current)
    try:
        kind = get_kind(current.kind)
        given = kind.arguments.from_json(arguments)
        current.masks = Masks(arguments)
        handle = _handle_and_settle if kind.transactional else _handle
        result = handle(current, kind, given, started)
        return (State.SUCCEEDED, Outcome.SUCCEEDED, None, result, "", "", "", "")
    except BaseException as error:  # SystemExit and interruptions too: this process goes on
        try:
            return verdict(current, error)
        except BaseException as second:  # what the exception does when it is asked about itself
            name = name_of(error)
            text = f"{name} (what becomes of it could not be told: {name_of(second)})"
            return (State.FAILED, Outcome.FAILED, None, None, text, name, "", sign(name, text))


def _leave_as_found(current: Run, *, failed: bool) -> None:
    """The next run finds the process as this one did."""
    global _worn_out
    try:
        _worn_out = "" if _afresh is None else _afresh.restore()
        lock_keeper.end_of_run()
        for alias in db_sessions.end_of_run(failed=failed):
            text = f"A transaction was left open on the database {alias!r}: it was rolled back. Use transaction.atomic()."
            with suppress(Cancelled):
                current.log(logging.WARNING, "", text)
    except Exception as error:  # the end of the run is told all the same
        logger.exception("What %s has left could not be put away", current.kind)
        _worn_out = f"what a run has left could not be put away: {error!r}"


def _handle(current: Run, kind: Kind, given: dict[str, Any], started: float) -> str | None:
    def to_its_end() -> str | None:
        return current.masks.json(result_json(kind, _call(kind, given)))

    result: str | None = _interruptions.call(current, kind.soft_timeout, lambda: in_this_process(to_its_end))
    return result


def _handle_and_settle(current: Run, kind: Kind, given: dict[str, Any], started: float) -> str | None:
    """In one transaction, so that what the handler writes there is committed if, and only if, this run settles the job. The
    parent settles it as well, as of every run: that finds it settled, or this run failed.

    Raises:
        StaleRun: the job is not this run's any more; nothing was written.
        TransactionEnded: the handler ended it.
    """
    with transaction.atomic(durable=True):
        with one_transaction.held(connection):
            result = _handle(current, kind, given, started)
        ended = State.SUCCEEDED, Outcome.SUCCEEDED, os.getpid(), started, time.time()
        settlement = Settlement(str(current.id), current.attempt, *ended, result=result)
        if not statements.on(connection).settle(connection, [settlement]):
            raise StaleRun("its worker lost the job while it ran: what it wrote is rolled back")
    return result


def _call(kind: Kind, arguments: dict[str, Any]) -> Any:
    """To its end: what a generator yields is its result, as a list."""
    value = kind.handler(**arguments)
    if inspect.iscoroutine(value):
        return _interruptions.awaited(value)
    if inspect.isasyncgen(value):
        return _interruptions.awaited(_listed(value))
    return list(value) if inspect.isgenerator(value) else value


async def _listed(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]


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
