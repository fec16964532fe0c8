"""What is taken from a handler's run as text: its log records, and clean, bounded strings."""

import logging

from apps.jobs.context import _run


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, the middle left out with a mark that says how much."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters cut …]\n{text[-half:]}"


class JobLogHandler(logging.Handler):
    """Sends what is logged while a job runs into the job's log."""

    @classmethod
    def install(cls) -> None:
        """Put it on the root logger of this process, once."""
        root = logging.getLogger()
        if not any(isinstance(handler, cls) for handler in root.handlers):
            root.addHandler(cls(level=logging.INFO))

    def emit(self, record: logging.LogRecord) -> None:
        """Report the record to the run that this code is in, if any."""
        run = _run.get()
        if run is None:
            return
        try:
            run.log(record.levelno, record.name, self.format(record))
        except Exception:
            self.handleError(record)
