"""Append-only files: what handlers did and what submitters were told, independent of any database.

A line is written by one call and is on disk before the call returns, so it survives the death of its writer and of the
machine. Every process writes a file of its own.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Names the folder of the records, in the environment of the campaign's processes.
FOLDER = "FURROW_PROVE_RECORDS"


class Record:
    """One process's file in the folder of this name; opened when first written to, and anew after a fork."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pid = 0
        self._file = -1

    def write(self, **fields: Any) -> None:
        """Append a line with these fields, the time (seconds since the epoch) and the writer's number and its parent's."""
        pid = os.getpid()
        if pid != self._pid:
            folder = Path(os.environ[FOLDER]) / self._name
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / f"{pid}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._pid = pid
        line = json.dumps({**fields, "pid": pid, "parent": os.getppid(), "at": time.time()}, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")
        os.fdatasync(self._file)


def read(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """All lines of all processes under this name. A last line that its writer did not finish is left out."""
    for path in sorted((folder / name).glob("*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)
