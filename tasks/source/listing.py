"""Find the source files of folders, and say what could not be listed."""

import os
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

#: Where distributions install packages; no part of the standard library around it.
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class Source:
    """A source file: its absolute path, and the top-level package or module that it belongs to."""

    path: str
    package: str


@dataclass(slots=True)
class Listing:
    """The source files of some folders, by path. ``skipped`` says, in words, what was passed over and why."""

    sources: list[Source] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def default_folders() -> list[str]:
    """The standard library of this interpreter and the packages installed beside it."""
    paths = sysconfig.get_paths()
    return list(
        dict.fromkeys(folder for folder in (paths["stdlib"], paths["purelib"], paths["platlib"]) if Path(folder).is_dir())
    )


def list_sources(folders: Iterable[str], limit: int | None = None) -> Listing:
    """The files of these folders and all folders below them whose name ends with ``.py``, the first ``limit`` of them.

    Not entered: linked folders (they may lead in circles), hidden ones, and ``site-packages`` inside of the standard library. A
    link, a pipe or a folder named like a source file is listed: measuring it says what is wrong with it.
    """
    listing = Listing()
    seen: set[str] = set()
    for folder in map(os.path.abspath, folders):
        package = os.path.basename(folder) if os.path.exists(os.path.join(folder, "__init__.py")) else ""
        for path in _walk(folder, listing):
            if path not in seen:
                seen.add(path)
                listing.sources.append(Source(path, package or _top(os.path.relpath(path, folder))))
    ordered = sorted(listing.sources, key=lambda source: source.path)
    return Listing(ordered[:limit], sorted(listing.skipped))


def _walk(folder: str, listing: Listing) -> Iterable[str]:
    waiting = [folder]
    without = _INSTALLED if folder == os.path.abspath(sysconfig.get_path("stdlib")) else frozenset()
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError as error:
            listing.skipped.append(f"{_printable(str(error.filename))}: the folder cannot be listed ({error.strerror})")
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and entry.name not in without:
                waiting.append(entry.path)
            if not entry.name.endswith(".py"):
                continue
            if (name := _printable(entry.path)) == entry.path:
                yield entry.path
            else:
                listing.skipped.append(f"{name}: the name is not text, so it cannot be stored")


def _top(relative: str) -> str:
    first, *rest = relative.split(os.sep)
    return first if rest else first.removesuffix(".py")


def _printable(path: str) -> str:
    """The path with escapes (``\\\\xff``) for bytes that are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
