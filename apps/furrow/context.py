"""``current_job``: a handler's view of the job it runs in."""

import datetime as dt
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol


class Run(Protocol):
    """One run of a job, as the pool process that runs it sees it."""

    kind: str
    attempt: int

    @property
    def meta(self) -> Mapping[str, Any]: ...

    @property
    def id(self) -> uuid.UUID: ...

    @property
    def scheduled_for(self) -> dt.datetime | None: ...

    def progress(self, fraction: float, note: str) -> None: ...
    def log(self, level: int, logger: str, message: str) -> None: ...
    def emit(self, value: Any) -> None: ...
    def check(self) -> None: ...


_run: ContextVar[Run | None] = ContextVar("furrow_run", default=None)


class CurrentJob:
    """The job that the calling code runs in. Outside of a job ``id`` is ``None``, and ``progress``, ``log``, ``emit`` and
    ``check`` do nothing, so a handler can be called like any function."""

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


current_job = CurrentJob()
