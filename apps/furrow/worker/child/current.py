"""The run that a pool process is busy with, as its handler sees it."""

import asyncio
import datetime as dt
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import pydantic_core
from billiard import current_process
from django.db import Error

from furrow.approvals import asking
from furrow.approvals.form import path_of
from furrow.conf import conf
from furrow.errors import Cancelled
from furrow.kinds.masks import NOTHING
from furrow.kinds.meta import from_json
from furrow.models import Step, Tick
from furrow.models.database import connection
from furrow.sanitize import clean, cut
from furrow.steps.acts import Acts
from furrow.worker import channel
from furrow.workflows import calls

#: Progress reports closer together than this (seconds) are merged into the later one.
PROGRESS_INTERVAL = 0.1


class Run:
    """One run of a job; what ``current_job`` speaks to."""

    def __init__(self, id: str, kind: str, attempt: int, excused: int, max_attempts: int, meta: str | None = None) -> None:
        self.kind, self.attempt, self.meta_text = kind, attempt, meta
        self.arguments_text = ""  #: as the row has them
        self.failures, self.max_attempts = attempt - excused, max_attempts
        self._text_id, self._lines, self._progress_at, self._complete = id, 0, 0.0, False
        self._chunks = self._emitted = 0  # chunks, and their characters
        self.told = False  # that it shall stop
        self.masks = NOTHING  #: hide the secrets among its arguments in whatever it tells
        self.excused, self.called = excused, False  # its handler was called
        self.transactional = False  # in the transaction that settles the job

    @cached_property
    def id(self) -> uuid.UUID:
        """The job's."""
        return uuid.UUID(self._text_id)  # most handlers do not ask, and it takes a microsecond

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What its submit gave it."""
        return from_json(self.meta_text)

    @cached_property
    def scheduled_for(self) -> dt.datetime | None:
        """The time of the schedule that it is for."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return _due_at(self.id)
        with ThreadPoolExecutor(1) as aside:  # Django's connections are not for the thread of an event loop
            return aside.submit(_due_at, self.id, close=True).result()

    @cached_property
    def steps(self) -> Acts:
        """What it records for later runs."""
        return Acts(self, transactional=self.transactional, calls=calls)

    def end_steps(self) -> None:
        """The handler has returned. Where it took no step an earlier run may have; one that has no connection is not given one
        to ask.

        Raises:
            Suspended: it was to end before, and went on.
        """
        if "steps" in self.__dict__ or self._had_steps():
            self.steps.end()

    def _had_steps(self) -> bool:
        """An earlier run took some, as far as this handler's session can tell: what it did to that is no fault of its job."""
        if self.attempt == 1 or connection.connection is None:
            return False
        try:
            return Step.objects.filter(job=self.id).exists()
        except Error:
            return False

    def progress(self, fraction: float, note: str, *, at_once: bool = False) -> None:
        """Report progress, at most ten times a second, unless it is to be told ``at_once``."""
        self.check()
        now = time.monotonic()
        if at_once or now - self._progress_at >= PROGRESS_INTERVAL or (fraction == 1 and not self._complete):
            self._progress_at, self._complete = now, fraction == 1
            channel.reports.send(("progress", self._text_id, self.attempt, fraction, clean(self.masks.text(note))))

    def log(self, level: int, logger: str, message: str) -> None:
        """Report a log line; beyond the limit of an attempt one line says that the rest is cut."""
        self.check()
        self._lines += 1
        limit = conf().max_log_lines
        if self._lines <= limit:
            text = cut(clean(self.masks.text(str(message))), conf().max_log_line)
        elif self._lines == limit + 1:
            text, level = f"[cut here: an attempt keeps {limit:,} log lines (FURROW['MAX_LOG_LINES'])]", logging.WARNING
        else:
            return
        channel.reports.send(("log", self._text_id, self.attempt, time.time(), level, clean(str(logger)[:200]), text))

    def emit(self, value: Any) -> None:
        """Report a chunk of output; beyond the limit of an attempt one chunk says that the rest is cut.

        Raises:
            TypeError: it has no JSON form.
        """
        self.check()
        if self._emitted > conf().max_output:
            return
        text = self.masks.json(_json(value)) or "null"
        self._chunks, self._emitted = self._chunks + 1, self._emitted + len(text)
        cut = self._emitted > conf().max_output
        if cut:
            text = f"\"[cut here: an attempt keeps {conf().max_output:,} characters of output (FURROW['MAX_OUTPUT'])]\""
        channel.reports.send(("emit", self._text_id, self.attempt, self._chunks, time.time(), text, cut))

    def approval(self, title: str, permission: str, name: str, *, form: Any = None, **options: Any) -> Any:
        """Ask a person, and wait in a step."""
        made_by = "" if form is None else path_of(form)
        asked = asking.Question.of(title, permission, form=made_by, **options)
        shown = asked._replace(title=self.masks.text(asked.title), description=self.masks.text(str(asked.description)))
        return asking.ask(shown, name)

    def check(self) -> None:
        """Stop here if somebody cancelled the job.

        Raises:
            Cancelled: once.
        """
        if not self.told and channel.stop_requests.asked(_process_index()) == (self.id.bytes, self.attempt):
            self.told = True
            raise Cancelled("somebody cancelled the job")


def _due_at(job: uuid.UUID, *, close: bool = False) -> dt.datetime | None:
    try:
        return Tick.objects.filter(job=job).values_list("due_at", flat=True).first()
    finally:
        if close:
            connection.close()


def _json(value: Any) -> str:
    if isinstance(value, str):
        value = clean(value)
    try:
        return pydantic_core.to_json(value, inf_nan_mode="null").decode()
    except (pydantic_core.PydanticSerializationError, ValueError) as error:
        raise TypeError(f"emit({type(value).__name__}): it has no JSON form ({error}): pass text, or plain data") from None


def _process_index() -> int:
    return int(getattr(current_process(), "index", 0))
