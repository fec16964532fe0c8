"""What a handler of the campaign writes down of its run, on disk before it goes on."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from furrow import current_job
from furrow.prove.records import Record

_effects = Record("effects")
logger = logging.getLogger("furrow.prove.kinds")


class Witness:
    """Writes down what this run does, before it is done; what it ``returns`` is written down with its end. A child that its
    handler forked writes nothing."""

    def __init__(self) -> None:
        assert current_job.id is not None
        self.id = current_job.id.hex
        self.attempt = current_job.attempt
        self.returns: Any = None
        self._pid = os.getpid()

    def log(self, text: str) -> None:
        """Log a line."""
        self.write("log", text=text)
        logger.warning(text)

    def look(self, around: dict[str, Any]) -> None:
        """How it finds its process."""
        self.write("look", around=around)

    def write(self, did: str, **more: Any) -> None:
        """Write a line."""
        if os.getpid() == self._pid:
            _effects.write(did=did, job=self.id, attempt=self.attempt, **more)


@contextmanager
def witnessed(kind: str, **saw: Any) -> Iterator[Witness]:
    """Write down that this run begins, with which arguments, and how it ends. A run that was killed has a beginning and no
    end."""
    witness = Witness()
    witness.write("begin", kind=kind, saw=saw)
    try:
        yield witness
    except BaseException as error:
        witness.write("raise", error=type(error).__name__)
        raise
    witness.write("end", result=witness.returns)
