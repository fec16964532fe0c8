"""A rich console that writes to a management command's stream."""

import sys
from typing import IO, cast

from django.core.management.base import OutputWrapper
from rich.console import Console


def console_on(stream: OutputWrapper, width: int) -> Console:
    """A console that writes to a command's stream; ``width`` columns where there is no terminal to ask."""
    return Console(file=cast(IO[str], _Pieces(stream)), width=None if stream.isatty() else width, highlight=False)


class _Pieces:
    """Lets rich write pieces to a command's stream, which by itself ends each of them with a newline."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self.encoding = sys.stdout.encoding or "utf-8"

    def write(self, text: str) -> int:
        self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding), ending="")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()
