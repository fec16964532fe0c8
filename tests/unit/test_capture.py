"""Which records reach a job's log, and that the worker's console shows what it did."""

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery.utils.log import LoggingProxy
from furrow.context import _run
from furrow.worker.child.capture import JobLogHandler


class Lines:
    """In the place of a run."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, level: int, logger: str, message: str) -> None:
        """Note it."""
        self.said.append(message)


@pytest.fixture
def console() -> Iterator[io.StringIO]:
    """The loggers as ``celery worker`` sets them up with its default, ``--loglevel WARNING``."""
    bases = [logging.getLogger(), logging.getLogger("celery.task")]
    before = [(base.level, base.handlers[:], base.propagate) for base in bases]
    stream = io.StringIO()
    for base in bases:
        base.handlers[:] = [logging.StreamHandler(stream)]
        base.setLevel(logging.WARNING)
    bases[1].propagate = False
    yield stream
    for base, (level, handlers, propagate) in zip(bases, before, strict=True):
        base.handlers[:], base.propagate = handlers, propagate
        base.setLevel(level)


@pytest.mark.parametrize(
    ("name", "own_level", "in_job", "on_console"),
    [
        ("", 0, "info warning", "warning"),
        ("tests.capture", 0, "info warning", "warning"),
        ("tests.capture", logging.DEBUG, "debug info warning", "debug info warning"),
        ("tests.capture", logging.ERROR, "", ""),
        ("celery.task.of_mine", 0, "info warning", "warning"),
        ("celery.task.of_mine", logging.DEBUG, "debug info warning", "debug info warning"),
    ],
)
def test_the_jobs_log_takes_info_whatever_the_worker_shows(
    console: io.StringIO, name: str, own_level: int, in_job: str, on_console: str
) -> None:
    run: Any = Lines()
    logger = logging.getLogger(name)
    if name:
        logger.setLevel(own_level)
    JobLogHandler.install()
    JobLogHandler.install()
    token = _run.set(run)
    try:
        for level in ("debug", "info", "warning"):
            getattr(logger, level)(level)
    finally:
        _run.reset(token)
        if name:
            logger.setLevel(logging.NOTSET)
    assert " ".join(run.said) == in_job
    assert " ".join(console.getvalue().split()) == on_console


class FullDisk(io.StringIO):
    """Where the console is written to."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_console_that_cannot_be_written_leaves_the_jobs_log_as_it_is(
    console: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = Lines()
    logging.getLogger().handlers[:] = [logging.StreamHandler(FullDisk())]
    JobLogHandler.install()
    errors = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", errors)
    monkeypatch.setattr(sys, "stderr", LoggingProxy(logging.getLogger("celery.redirected"), logging.WARNING))
    token = _run.set(run)
    try:
        for n in range(3):
            logging.getLogger("tests.capture").warning("line %d", n)
    finally:
        _run.reset(token)
    assert run.said == ["line 0", "line 1", "line 2"]
    assert errors.getvalue().count("Errno 28") == 3
    monkeypatch.setattr(sys, "__stderr__", FullDisk())
    logging.getLogger("tests.capture").warning("also that cannot be told")
