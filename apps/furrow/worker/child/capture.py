"""What is taken from a handler's run as text: its log records."""

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any

from furrow.context import _run

_TRACER = "celery.app.trace"


class JobLogHandler(logging.Handler):
    """Sends what is logged while a job runs into the job's log: from INFO up, and below that what comes from loggers that were
    given a level of their own."""

    @classmethod
    def install(cls) -> None:
        """Put it on the loggers of this process at which records end, once. The worker's ``--loglevel`` is a matter of its
        console: it goes on to show what it showed, whatever these loggers let through from now on."""
        for base in (logging.getLogger(), logging.getLogger("celery.task")):
            if not base.propagate or base.parent is None:
                cls._install_on(base)

    @classmethod
    def _install_on(cls, base: logging.Logger) -> None:
        if any(isinstance(handler, cls) for handler in base.handlers):
            return
        for handler in base.handlers:
            handler.addFilter(_FromLevel(base, base.level))
            handler.handleError = _told_beside_the_log  # type: ignore[method-assign]
        ours = cls()
        ours.addFilter(_FromLevel(base, logging.INFO))
        base.addHandler(ours)
        base.setLevel(min(base.level, logging.INFO))

    def emit(self, record: logging.LogRecord) -> None:
        """Report the record to the run that this code is in, if any. That a task began or ended, which Celery's tracer says,
        stands in the job."""
        if record.name == _TRACER:
            return
        run = _run.get()
        if run is None:
            return
        try:
            run.log(record.levelno, record.name, self.format(record))
        except Exception:
            self.handleError(record)


def _told_beside_the_log(record: logging.LogRecord) -> None:
    """A record that a handler could not write, to a full disk for instance. By default ``logging`` tells of it on
    ``sys.stderr``, which Celery leads to a logger, and that to the job's log."""
    if logging.raiseExceptions and sys.__stderr__ is not None:
        with suppress(OSError, ValueError):
            traceback.print_exc(file=sys.__stderr__)


class _FromLevel(logging.Filter):
    """Lets through what the logger ``base`` would with this level."""

    def __init__(self, base: logging.Logger, level: int) -> None:
        super().__init__()
        self._base, self._level = base, level

    def filter(self, record: logging.LogRecord) -> bool:
        """A level that is set nearer to the record has the say, and has let it through."""
        return record.levelno >= self._level or self._has_own_level(logging.getLogger(record.name))

    def _has_own_level(self, logger: Any) -> bool:
        while logger is not None and logger is not self._base:
            if logger.level:
                return True
            logger = logger.parent
        return False
