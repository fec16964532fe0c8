"""A clock that can be set for some processes alone, by libfaketime (Debian's package). Monotonic clocks go on."""

from pathlib import Path

PACKAGE = "libfaketime"


def lacking() -> str:
    """Why no clock can be set here; empty: one can."""
    return "" if _library(threads=False) else f"{PACKAGE} is not installed: apt-get install {PACKAGE}"


def put(file: Path, ahead: int) -> None:
    """Set the clock of all processes that read this file, in seconds ahead of the machine's: at once, for all of them."""
    new = file.with_suffix(".new")
    new.write_text(f"{ahead:+d}\n")
    new.chmod(0o644)
    new.replace(file)


def environ(file: Path, *, threads: bool) -> dict[str, str]:
    """For the environment of a process, which may have threads, to have the clock that this file sets."""
    return {
        "LD_PRELOAD": str(_library(threads=threads)),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _library(*, threads: bool) -> Path | None:
    return next(Path("/usr/lib").glob(f"*/faketime/libfaketime{'MT' if threads else ''}.so.1"), None)
