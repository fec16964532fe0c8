"""Small files that several processes share: locked, replaced as a whole, readable by their owner only."""

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write(path: Path, text: str) -> None:
    """Replace `path` with `text` so that a reader, or a crash, sees the old text or the new one; mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def close_folder(folder: Path, *, passable: bool = False) -> None:
    """Make this folder, if there is none, and close it to other users of the machine. ``passable``: they may go through it, to
    a folder within that they own, and cannot see what else there is."""
    folder.mkdir(parents=True, exist_ok=True)
    mode = 0o711 if passable else 0o700
    if stat.S_IMODE(folder.stat().st_mode) != mode:
        folder.chmod(mode)


def read_json(path: Path) -> dict[str, Any]:
    """The object that `path` holds; empty if there is no such file, or no object in it."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace `path` with `value`."""
    write(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold `path` as a lock; yields whether it was free at once. Else it was waited for, or, without `wait`, is not held. Dies
    with its process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            at_once = True
        except BlockingIOError:
            if wait:
                fcntl.flock(file, fcntl.LOCK_EX)
            at_once = False
        yield at_once


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, or a word that there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"
