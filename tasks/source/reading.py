"""From a path to a syntax tree; each way in which that fails is an error of its own."""

import ast
import io
import os
import stat
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

#: Larger files are refused, in bytes: a syntax tree takes more than a hundred times the memory of its source.
MAX_BYTES = 2 * 1024 * 1024


class SourceError(Exception):
    """The file cannot be measured, and trying again will not help. The text says where and why; ``reason`` is for a list."""

    reason = "not measurable"

    def __init__(self, path: str, line: int, detail: str) -> None:
        self.path, self.line = path, line
        super().__init__(f"{path}:{line}: {detail}" if line else f"{path}: {detail}")


class NotAFile(SourceError):
    """The path leads to a folder, a pipe, a socket or a device."""

    reason = "not a file"


class TooLarge(SourceError):
    """The file has more than :data:`MAX_BYTES`."""

    reason = "too large"


class NotText(SourceError):
    """The bytes are not text in the encoding that the file declares (UTF-8 if none), or nobody knows that encoding."""

    reason = "not text"


class NotPython(SourceError):
    """This interpreter cannot parse the text."""

    reason = "not Python"


class TooDeep(SourceError):
    """The code is nested more deeply than the parser can follow."""

    reason = "too deeply nested"


def read(path: str) -> bytes:
    """The content of a regular file of at most :data:`MAX_BYTES`. A pipe under this name is refused, not waited for.

    Raises:
        NotAFile, TooLarge: see there.
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotAFile(path, 0, "it is a pipe, a socket or a device")
            content = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise NotAFile(path, 0, "it is a folder") from None
    if len(content) > MAX_BYTES:
        raise TooLarge(path, 0, f"it has {max(status.st_size, len(content)):,} bytes, the limit is {MAX_BYTES:,}")
    return content


def decode(path: str, content: bytes) -> str:
    """The text of a source file, with ``\\n`` for every end of line, decoded as PEP 263 says.

    Raises:
        NotText: names the line of the first byte that does not fit.
    """
    try:
        with _quiet():
            encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
            text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotText(path, line, f"byte 0x{content[error.start]:02x} is not {error.encoding} ({error.reason})") from error
    except (SyntaxError, UnicodeError, LookupError) as error:
        # An encoding is declared in one of the first two lines, or it is none.
        raise NotText(path, _declaration(content), str(error)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _declaration(content: bytes) -> int:
    return 2 if b"coding" in b"".join(content.split(b"\n")[1:2]) else 1


def parse(path: str, text: str) -> ast.Module:
    """The syntax tree of a module.

    Raises:
        NotPython: names the line and says what the parser says.
        TooDeep: the parser's stack did not suffice.
    """
    try:
        with _quiet():
            return ast.parse(text)
    except SyntaxError as error:
        raise NotPython(path, error.lineno or _null(text), error.msg) from error
    except (RecursionError, MemoryError) as error:
        raise TooDeep(path, 0, str(error) or "the parser ran out of memory") from error
    except (ValueError, OverflowError, SystemError) as error:
        raise NotPython(path, _null(text), str(error)) from error


def _null(text: str) -> int:
    """The line of the first NUL, of which the parser says no line; 0 without one."""
    return text.count("\n", 0, text.find("\0")) + 1 if "\0" in text else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that old code calls forth (``"\\d"``), which ``-W error`` would make errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
