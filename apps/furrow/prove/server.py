"""The private PostgreSQL: with every safety on, and where asked a clock that can be set and a disk that can be filled."""

import os
from pathlib import Path

from deploy.services import Postgres

from furrow.prove.means import clock
from furrow.prove.means.disk import Disk


class OwnPostgres(Postgres):
    """``clocked``: it has a clock of its own; ``mounted``: a disk of its own."""

    def __init__(self, folder: Path, *, clocked: bool = False, mounted: bool = False) -> None:
        super().__init__(folder, durable=True)
        self.clocked = clocked
        self.mounted = mounted

    @property
    def disk(self) -> Disk:
        """Where the cluster is, if it has a disk of its own."""
        return Disk(self.folder / "disk", super()._data().parent)

    def set_clock(self, ahead: int) -> None:
        """Set its clock, in seconds ahead of the machine's; all its processes have it at once."""
        clock.put(self._clock, ahead)

    def environ(self) -> dict[str, str]:
        """With the clock."""
        if not self.clocked:
            return super().environ()
        if not self._clock.exists():
            self.set_clock(0)
        return super().environ() | clock.environ(self._clock)

    def destroy(self) -> None:
        """Let go of the disk, too."""
        self.kill()
        self.let_go()
        super().destroy()

    def let_go(self) -> None:
        """Unmount its disk, if it has one."""
        if (self.folder / "disk").exists():
            self.disk.unmount()

    @property
    def _clock(self) -> Path:
        return self._data().parent / "clock"

    def _data(self) -> Path:
        data = super()._data()
        if self.mounted and not self.disk.mounted:
            owner = data.parent.stat()
            self.disk.mount()
            os.chown(data.parent, owner.st_uid, owner.st_gid)
            data.parent.chmod(0o700)
        return data
