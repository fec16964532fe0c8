"""A disk of its own for a folder: a file system in a sparse file, which can be filled and emptied while it is used."""

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

#: A disk takes at most this share of what is free, and at most so many bytes; it takes what is written to it.
SHARE, MOST = 0.5, 16 << 30


class Disk:
    """Mounted at ``folder`` while it is used; its data are in ``image``."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder

    @property
    def mounted(self) -> bool:
        """Whether it can be written to."""
        return self.folder.is_mount()

    def mount(self) -> None:
        """Make it, if there is none, and mount it. Raises CalledProcessError where that is not possible."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.image.exists():
            size = min(MOST, int(shutil.disk_usage(self.image.parent).free * SHARE))
            with self.image.open("wb") as file:
                file.truncate(size)
            _run("mkfs.ext4", "-q", "-m", "0", str(self.image))
        if not self.mounted:
            _run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Let go of it, whoever still uses it."""
        if self.mounted:
            _run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab") as file:
            size = shutil.disk_usage(self.folder).free
            while size >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def empty(self) -> None:
        """Undo :meth:`fill`."""
        with contextlib.suppress(FileNotFoundError):
            self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


def lacking() -> str:
    """Why no disk can be had here; empty: one can."""
    if os.geteuid():
        return "only root may mount a disk"
    folder = Path(tempfile.mkdtemp(prefix="furrow-disk-"))
    try:
        disk = Disk(folder / "image", folder / "disk")
        with disk.image.open("wb") as file:
            file.truncate(4 << 20)
        _run("mkfs.ext4", "-q", "-m", "0", str(disk.image))
        disk.mount()
        disk.unmount()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no disk can be mounted here: {getattr(error, 'stderr', None) or error}".strip()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _run(*command: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
    found = shutil.which(command[0], path=path) or command[0]
    subprocess.run([found, *command[1:]], check=True, capture_output=True, text=True)
