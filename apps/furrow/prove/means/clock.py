"""A clock that can be set for some processes alone: they load a library (``clock.c``) that adds what a file says.

libfaketime is not used: it opens its file in each question for the time, which a signal handler asks too, and PostgreSQL's
handlers then waited for a lock that the interrupted code held, or aborted.
"""

import atexit
import mmap
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

#: A C compiler of a third of a megabyte.
PACKAGE = "tcc"
_SOURCE = Path(__file__).with_suffix(".c")


def lacking() -> str:
    """Why no clock can be set here; empty: one can."""
    return "" if shutil.which(PACKAGE) else f"{PACKAGE} is not installed: apt-get install {PACKAGE}"


def put(file: Path, ahead: int) -> None:
    """Set the clock of all processes that read this file, in seconds ahead of the machine's: at once, for all of them.

    Less than four months. The file is changed in its place, since they have it mapped.
    """
    text = f"{ahead:+08d}".encode()
    if not file.exists():
        file.write_bytes(text)
        file.chmod(0o644)
        return
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), len(text)) as mapped:
        mapped[:] = text


def environ(file: Path) -> dict[str, str]:
    """For the environment of a process to have the clock that this file sets.

    Raises:
        subprocess.CalledProcessError: the library cannot be compiled.
    """
    return {"LD_PRELOAD": str(_library()), "CLOCK_FILE": str(file)}


@cache
def _library() -> Path:
    """Compiled anew by each process, where every user can read it; a space in its path would end it for ``LD_PRELOAD``."""
    folder = Path(tempfile.mkdtemp(prefix="furrow-clock-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    library = folder / "clock.so"
    subprocess.run([PACKAGE, "-shared", "-nostdlib", "-o", library, _SOURCE], check=True)
    library.chmod(0o755)
    return library
