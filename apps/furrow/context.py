"""``current_job``: a handler's view of the job it runs in."""

import datetime as dt
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, overload

from furrow.errors import StepError

_Given = ParamSpec("_Given")
#: In the place of a default that is not given.
REQUIRED: Any = object()


class Steps(Protocol):
    """The steps of a run."""

    def step(self, named: dict[str, Any], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...
    def sleep(self, until: dt.timedelta | float | dt.datetime, name: str | None) -> Any: ...
    def wait_signal(self, signal: str, timeout: dt.timedelta | float | None, default: Any, name: str | None) -> Any: ...
    def call(self, kind: Any, rows: list[Mapping[str, Any]], name: str | None, *, many: bool, **options: Any) -> Any: ...


class Run(Protocol):
    """One run of a job, as the pool process that runs it sees it."""

    kind: str
    attempt: int
    failures: int
    max_attempts: int

    @property
    def meta(self) -> Mapping[str, Any]: ...

    @property
    def id(self) -> uuid.UUID: ...

    @property
    def scheduled_for(self) -> dt.datetime | None: ...

    @property
    def steps(self) -> Steps: ...

    def progress(self, fraction: float, note: str, *, at_once: bool = False) -> None: ...
    def log(self, level: int, logger: str, message: str) -> None: ...
    def emit(self, value: Any) -> None: ...
    def check(self) -> None: ...
    def approval(self, title: str, permission: str, name: str, **options: Any) -> Any: ...


_run: ContextVar[Run | None] = ContextVar("furrow_run", default=None)


class CurrentJob:
    """The job that the calling code runs in. Outside of a job ``id`` is ``None``, ``progress``, ``log``, ``emit`` and
    ``check`` do nothing, and a step is a call, so a handler can be called like any function."""

    @property
    def id(self) -> uuid.UUID | None:
        """The job's id; ``None`` outside of a job."""
        run = _run.get()
        return run.id if run else None

    @property
    def attempt(self) -> int:
        """The number of this run, counted from 1; 0 outside of a job."""
        run = _run.get()
        return run.attempt if run else 0

    @property
    def meta(self) -> Mapping[str, Any]:
        """The metadata that its submit gave it; empty outside of a job."""
        run = _run.get()
        return run.meta if run else {}

    @property
    def scheduled_for(self) -> dt.datetime | None:
        """The time of the schedule that this job is for, which may lie back by what was caught up or backfilled; ``None``: no
        schedule made it. Asks the database, once."""
        run = _run.get()
        return run.scheduled_for if run else None

    def progress(self, fraction: float, note: str = "") -> None:
        """Report progress, from 0 to 1, with a note of at most 200 characters. Cheap: at most ten reports a second are sent.

        Raises:
            ValueError: the fraction is not between 0 and 1.
            Cancelled: the job was cancelled.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress({fraction!r}): the fraction must be between 0 and 1")
        if run := _run.get():
            run.progress(float(fraction), note[:200])

    def log(self, message: str, *args: Any, level: int = 20) -> None:
        """Write a line to the job's log, ``%``-formatted with ``args``. Standard ``logging`` calls go there too."""
        if run := _run.get():
            run.log(level, "", message % args if args else message)

    def emit(self, value: Any) -> None:
        """Add a chunk to the job's output stream, which a page outside may follow while the job runs
        (:func:`furrow.output_url`): a text, or anything that has a JSON form. Chunks are numbered from 1 in each attempt.

        Raises:
            TypeError: the value has no JSON form.
            Cancelled: the job was cancelled.
        """
        if run := _run.get():
            run.emit(value)

    def check(self) -> None:
        """Stop here if the job was cancelled.

        Raises:
            Cancelled: it was. A BaseException: ``except Exception`` does not catch it.
        """
        if run := _run.get():
            run.check()

    # --- Steps: docs/steps.md -----------------------------------------------------------------------------------------

    @overload
    def step(
        self, step: str | None = ..., /, *, was: str = ..., new: bool = ..., transactional: bool = ...
    ) -> Callable[[Callable[_Given, Any]], Callable[_Given, Any]]: ...
    @overload
    def step(self, step: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def step(self, step: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...

    def step(self, step: str | Callable[..., Any] | None = None, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function once in the life of the job, and give back its result on every later run::

            receipt = current_job.step("charge", charge_card, order)

        The result is kept as JSON, and what is returned is made of that. In an async handler each step is awaited.

        Args:
            step: the step's name, unique among those of the job; or the function, whose name is then the step's.
            args, kwargs: the function, and its arguments. Without a function this returns a decorator, which takes ``was="…"``
                (the name that the step had in earlier versions of the code), ``new=True`` (it was put before steps that jobs
                under way have behind them) and ``transactional=True`` (what the function writes to the database and the record
                of the step are one transaction).

        Raises:
            ResultError: the result has no JSON form, or is too large; another attempt cannot mend that.
            StepError: the job has met a step of this name in this run, is within another step, or in a transaction.
        """
        if callable(step):
            return self._step({}, step, *args, **kwargs)
        named = {} if step is None else {"name": step}
        if args:
            function, *rest = args
            return self._step(named, function, *rest, **kwargs)
        if unknown := kwargs.keys() - {"was", "new", "transactional"}:
            raise TypeError(f"step() has no option {min(unknown)!r}: it has was, new and transactional; or pass a function")

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def call(*its: Any, **own: Any) -> Any:
                return self._step({**named, **kwargs}, function, *its, **own)

            return call

        return decorate

    def _step(self, named: dict[str, Any], function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        run = _run.get()
        return run.steps.step(named, function, *args, **kwargs) if run else function(*args, **kwargs)

    def sleep(self, seconds: dt.timedelta | float, *, name: str | None = None) -> Any:
        """End this run, and go on here in a later one when the time is over. No process is held meanwhile, and the attempt does
        not count. The end is recorded: a job that crashes or is retried does not sleep anew. Outside of a job it returns.

        Args:
            name: the step's. Default: ``sleep``, ``sleep 2``, … in the order of the calls.
        """
        run = _run.get()
        return run.steps.sleep(seconds, name) if run else None

    def sleep_until(self, moment: dt.datetime, *, name: str | None = None) -> Any:
        """:meth:`sleep` until an (aware) time."""
        run = _run.get()
        return run.steps.sleep(moment, name) if run else None

    def wait_signal(
        self, signal: str, *, timeout: dt.timedelta | float | None = None, default: Any = REQUIRED, name: str | None = None
    ) -> Any:
        """End this run, and go on here when somebody has sent the job this signal (:func:`furrow.send_signal`): its payload.
        One that came before is taken at once; each is taken once.

        Args:
            timeout: wait no longer; ``None``: for as long as it takes.
            default: what to return then.
            name: the step's. Default: the signal's name, then with a number.

        Raises:
            SignalTimeout: the signal did not come in time, and there is no default.
            StepError: outside of a job.
        """
        run = _run.get()
        if run is None and default is REQUIRED:
            raise StepError(f"wait_signal({signal!r}) is called outside of a job, to which nobody can send a signal.")
        return run.steps.wait_signal(signal, timeout, default, name) if run else default

    def approval(self, title: str, *, permission: str, name: str = "approval", **options: Any) -> Any:
        """Ask a person, end this run, and go on here with the decision: ``{"approved": True, "by": the user's name, "note": …,
        "answers": …}``.

        Args:
            title, permission, options: as of ``w.approval`` of a workflow.
            name: the step's. A job that asks twice gives each a name of its own.

        Raises:
            ApprovalRejected, ApprovalTimeout: both are an ``Abort``; told to each later run again.
            StepError: outside of a job, to which nobody can answer.
        """
        run = _run.get()
        if run is None:
            raise StepError(f"approval({title!r}) is called outside of a job, to which nobody can answer.")
        return run.approval(title, permission, name, **options)

    def call(self, kind: Any, arguments: Mapping[str, Any] | None = None, *, step: str | None = None, **options: Any) -> Any:
        """Submit a job, end this run, and go on here when that job has ended: its result. No process is held meanwhile; the job
        is submitted once.

        Args:
            kind, arguments, options: as of :func:`furrow.submit`, without ``id``, ``unique`` and ``submitted_by``.
            step: the step's name. Default: the kind's, then with a number.

        Raises:
            JobFailed: the job failed or was cancelled; told to each later run again.
            StepError: outside of a job.
        """
        return self._call(kind, [arguments or {}], step, many=False, **options)

    def call_many(self, kind: Any, rows: Iterable[Mapping[str, Any]], *, step: str | None = None, **options: Any) -> Any:
        """:meth:`call` with a job for each of these arguments: the list of their results, in the order of the rows.

        Raises:
            JobFailed: some failed or were cancelled.
            ResultError: the results are too large to be recorded together: let the jobs keep them elsewhere.
        """
        return self._call(kind, list(rows), step, many=True, **options)

    def _call(self, kind: Any, rows: list[Mapping[str, Any]], step: str | None, *, many: bool, **options: Any) -> Any:
        run = _run.get()
        if run is None:
            raise StepError("call() is called outside of a job: use submit().")
        return run.steps.call(kind, rows, step, many=many, **options)


current_job = CurrentJob()
