"""What ``current_job`` does of steps. In an async handler each returns an awaitable; the database is asked in the thread in
which its queries are done."""

import asyncio
import datetime as dt
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from asgiref.sync import sync_to_async

from furrow.calendar import in_calendar
from furrow.context import REQUIRED, Run
from furrow.errors import LONGEST_SNOOZE, JobFailed, SignalTimeout, StepError, Suspended
from furrow.kinds.returned import json_text
from furrow.models import Step
from furrow.models.database import atomic
from furrow.models.step import SPAN, Sort
from furrow.plural import counted
from furrow.steps.named import LONGEST_NAME, Named, check_name, name_of, seconds_in
from furrow.steps.recorder import Recorder

#: The step that the calling code is in.
_within: ContextVar[str] = ContextVar("furrow_step", default="")


class Calls(Protocol):
    """Jobs that a handler calls: :mod:`furrow.workflows.calls`, a room above."""

    def start(self, kind: Any, rows: Iterable[Mapping[str, Any]], *, name: str, **options: Any) -> str: ...
    def outcome(self, call: str) -> list[Any] | None: ...


class Acts:
    """The steps of one run."""

    def __init__(self, run: Run, *, transactional: bool, calls: Calls) -> None:
        self.recorder, self._calls = Recorder(run, transactional=transactional), calls
        self._run, self._unnamed = run, Counter[str]()
        #: The run is over, whatever its handler does with what was raised in it.
        self.suspended: Suspended | None = None

    def step(self, named: dict[str, Any], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the function, if no earlier run has; its result, as JSON has it."""
        known = Named(**named) if "name" in named else Named(name_of(function), **named)
        call = partial(function, *args, **kwargs)
        if inspect.iscoroutinefunction(function):
            if not _in_event_loop():
                raise StepError(f"The step {known.name!r} is an async function: its handler must be async too.")
            return self._awaited(known, call)
        return self._here_or_there(partial(self._step, known, call))

    def sleep(self, until: dt.timedelta | float | dt.datetime, name: str | None) -> Any:
        """End the run, and go on at that time."""
        return self._here_or_there(partial(self._sleep, self._named("sleep", name), until))

    def wait_signal(self, signal: str, timeout: dt.timedelta | float | None, default: Any, name: str | None) -> Any:
        """End the run, and go on when the signal has come; its payload."""
        check_name("signal", signal)
        return self._here_or_there(partial(self._wait, self._named(signal, name), signal, timeout, default))

    def call(self, kind: Any, rows: list[Mapping[str, Any]], name: str | None, *, many: bool, **options: Any) -> Any:
        """Submit jobs, end the run, and go on when they have ended; their results."""
        usual = kind if isinstance(kind, str) else kind.name
        return self._here_or_there(partial(self._call, self._named(usual, name), kind, rows, many, options))

    def _named(self, usual: str, name: str | None) -> Named:
        """Waits without a name are counted."""
        if name is None:
            self._unnamed[usual] += 1
            name = usual if self._unnamed[usual] == 1 else f"{usual} {self._unnamed[usual]}"
        return Named(name)

    @staticmethod
    def _here_or_there(act: Callable[[], Any]) -> Any:
        return sync_to_async(act)() if _in_event_loop() else act()

    def end(self) -> None:
        """The handler has returned.

        Raises:
            Suspended: it was to end before, and went on.
        """
        if self.suspended is not None:
            raise self.suspended
        self._here_or_there(self.recorder.tell_of_missing)

    # --- A function ---------------------------------------------------------------------------------------------------

    def _step(self, named: Named, call: Callable[[], Any]) -> Any:
        row = self._meet(Sort.STEP, named)
        if row is not None:
            return _value(row.result)
        self.recorder.refuse_open_transaction(named.name)
        started = self.recorder.now()
        if not named.transactional or self.recorder.transactional:
            with _in_step(named.name):
                value = call()
            return self._record(named, started, value)
        with atomic(durable=True):
            with _in_step(named.name):
                value = call()
            return self._record(named, started, value)

    async def _awaited(self, named: Named, call: Callable[[], Any]) -> Any:
        if named.transactional:
            raise StepError(f"The step {named.name!r} is async, and cannot be transactional: Django has no such transactions.")
        with self.recorder.under_way():
            row = await sync_to_async(self._meet)(Sort.STEP, named)
            if row is not None:
                return _value(row.result)
            started = await sync_to_async(self.recorder.now)()
            with _in_step(named.name):
                value = await call()
            return await sync_to_async(self._record)(named, started, value)

    def _record(self, named: Named, started: dt.datetime, value: Any) -> Any:
        text = json_text(f"the step {named.name!r} of {self._run.kind}", value)
        columns: dict[str, Any] = {"started_at": started, "finished_at": self.recorder.now(), "passed_in": self._run.attempt}
        self.recorder.add(Sort.STEP, named.name, result=text, **columns)
        return _value(text)

    # --- A wait -------------------------------------------------------------------------------------------------------

    def _sleep(self, named: Named, until: dt.timedelta | float | dt.datetime) -> None:
        row = self._meet(Sort.SLEEP, named)
        self.recorder.refuse_open_transaction(named.name)
        if row is None:
            now = self.recorder.now()
            awaits = "" if isinstance(until, dt.datetime) else SPAN
            row = self.recorder.add(Sort.SLEEP, named.name, awaits=awaits, started_at=now, until=_end(until, now))
        if row.finished_at is None:
            if (left := self._left(row)) > 0:
                self._suspend(left, f"sleeps in the step {named.name!r}")
            self.recorder.surely(partial(self._pass_by, row))

    def _wait(self, named: Named, signal: str, timeout: dt.timedelta | float | None, default: Any) -> Any:
        row = self._meet(Sort.SIGNAL, named)
        self.recorder.refuse_open_transaction(named.name)
        if row is None:
            now = self.recorder.now()
            until = None if timeout is None else _end(seconds_in(timeout, "timeout"), now)
            row = self.recorder.add(Sort.SIGNAL, named.name, awaits=signal, started_at=now, until=until)
        if row.finished_at is None and not self.recorder.surely(partial(self._look, row, signal)):
            self._suspend(self._left(row) if row.until else LONGEST_SNOOZE, f"waits for the signal {signal!r}")
        if row.result is not None:
            return _value(row.result)
        if default is REQUIRED:
            raise SignalTimeout(f"The signal {signal!r} did not come in time: step {named.name!r} gave up at {row.until}.")
        return default

    def _look(self, row: Step, signal: str) -> bool:
        """Whether the wait is over: a signal is there, or it is too late."""
        self.recorder.hold()
        if row.awaits != signal:
            row.awaits = signal
            row.save(update_fields=["awaits"])
        payload = self.recorder.take_signal(row)
        if payload is None and (row.until is None or self._left(row) > 0):
            return False
        self.recorder.pass_by(row, payload)
        return True

    def _call(self, named: Named, kind: Any, rows: list[Mapping[str, Any]], many: bool, options: dict[str, Any]) -> Any:
        row = self._meet(Sort.CALL, named)
        self.recorder.refuse_open_transaction(named.name)
        if row is None:
            start = partial(self._calls.start, kind, rows, name=f"{self._run.kind}: {named.name}"[:LONGEST_NAME], **options)
            row = self.recorder.add(Sort.CALL, named.name, lambda: {"awaits": start()}, started_at=self.recorder.now())
        if row.finished_at is None and not self.recorder.surely(partial(self._look_at_call, row, many)):
            self._suspend(LONGEST_SNOOZE, f"waits for {counted(len(rows), 'job')} in the step {named.name!r}")
        if row.result is None:
            raise JobFailed(row.note)
        return _value(row.result)

    def canvas(self, name: str, start: Callable[[], str], outcome: Callable[[str], tuple[Any] | None]) -> Any:
        """Submit a workflow, end the run, and go on when it has ended: its result. ``start``: its id; ``outcome``: its result
        in a tuple, or ``None`` while it runs; raises :class:`JobFailed`."""
        row = self._meet(Sort.CALL, Named(name))
        self.recorder.refuse_open_transaction(name)
        if row is None:
            row = self.recorder.add(Sort.CALL, name, lambda: {"awaits": start()}, started_at=self.recorder.now())
        if row.finished_at is None and not self.recorder.surely(partial(self._look_at_canvas, row, outcome)):
            self._suspend(LONGEST_SNOOZE, "waits for what took its place")
        if row.note:
            raise JobFailed(row.note)
        return _value(row.result)

    def _look_at_canvas(self, row: Step, outcome: Callable[[str], tuple[Any] | None]) -> bool:
        self.recorder.hold()
        text = None
        try:
            if (found := outcome(row.awaits)) is None:
                return False
            text = json_text(f"the step {row.name!r} of {self._run.kind}", found[0])
        except JobFailed as failed:
            row.note = str(failed)[:300]
        self.recorder.pass_by(row, text)
        return True

    def _look_at_call(self, row: Step, many: bool) -> bool:
        """Whether the jobs have ended."""
        self.recorder.hold()
        try:
            results = self._calls.outcome(row.awaits)
            if results is None:
                return False
            text = json_text(f"the step {row.name!r} of {self._run.kind}", results if many else results[0])
        except JobFailed as failed:
            row.note, text = str(failed)[:300], None
        self.recorder.pass_by(row, text)
        return True

    def _pass_by(self, row: Step) -> None:
        self.recorder.hold()
        self.recorder.pass_by(row)

    def _left(self, row: Step) -> float:
        assert row.until is not None
        return (row.until - self.recorder.now()).total_seconds()

    def _suspend(self, seconds: float, reason: str) -> None:
        self.suspended = Suspended(seconds, reason)
        raise self.suspended

    def _meet(self, sort: Sort, named: Named) -> Step | None:
        if self.suspended is not None:
            raise self.suspended
        if outer := _within.get():
            raise StepError(f"The step {named.name!r} is within the step {outer!r}: call it from the handler itself.")
        return self.recorder.meet(sort, named)


@contextmanager
def _in_step(name: str) -> Iterator[None]:
    token = _within.set(name)
    try:
        yield
    finally:
        _within.reset(token)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _end(given: dt.timedelta | float | dt.datetime, now: dt.datetime) -> dt.datetime:
    if not isinstance(given, dt.datetime):
        given = now + dt.timedelta(seconds=seconds_in(given, "sleep"))
    elif given.utcoffset() is None:
        raise StepError(f"{given.isoformat()} has no time zone: pass an aware one (django.utils.timezone.make_aware).")
    if not in_calendar(given):
        raise StepError(f"{given.isoformat()} is outside of the years 1 to 9999: pass a time that is within.")
    return given
