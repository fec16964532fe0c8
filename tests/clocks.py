"""Clocks that are set while a process runs (the compiler is installed on demand). Monotonic clocks go on."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import packages
from deploy.services import Postgres, Redis
from furrow.prove.means import clock as clocks


class Clock:
    """The clock of all processes that are started with ``environ``, in seconds ahead of the machine's."""

    def __init__(self, folder: Path) -> None:
        packages.install(packages.missing([clocks.PACKAGE]))
        self._file = folder / "clock"
        self.set(0)

    def set(self, ahead: int) -> None:
        """Set it: at once, for all of them."""
        clocks.put(self._file, ahead)

    def environ(self) -> dict[str, str]:
        """For the environment of a process."""
        return clocks.environ(self._file)


class ClockedPostgres(Postgres):
    """A private PostgreSQL with a clock of its own."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, durable=False)
        self._clock = clock

    def environ(self) -> dict[str, str]:
        """With the clock."""
        return super().environ() | self._clock.environ()


class ClockedRedis(Redis):
    """A private Redis with a clock of its own."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder)
        self._clock = clock

    def environ(self) -> dict[str, str]:
        """With the clock."""
        return super().environ() | self._clock.environ()


@contextmanager
def clock() -> Iterator[Clock]:
    """One in a folder that every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="furrow-clock-"))
    folder.chmod(0o755)
    try:
        yield Clock(folder)
    finally:
        shutil.rmtree(folder)
